//! What the last sweep found in the queue.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mailqueue_core::sweep::Swept;

/// The time for which a pass that found nothing missing is believed. More than the usual time between two passes, so that
/// an idle worker asks the store once for each.
const FRESH: Duration = Duration::from_secs(2);

/// Knows whether the last pass found everything that is due in the queue, so that an empty queue means that nothing is
/// due.
#[derive(Debug, Default)]
pub(crate) struct QueueCheck {
    whole_since: Mutex<Option<Instant>>,
}

impl QueueCheck {
    /// Notes a pass; `None` is one that failed.
    pub(crate) fn note(&self, swept: Option<&Swept>) {
        let is_whole = swept.is_some_and(|swept| swept.queue_was_whole);
        *self.whole_since.lock().unwrap_or_else(PoisonError::into_inner) = is_whole.then(Instant::now);
    }

    /// True shortly after a pass that found nothing missing.
    pub(crate) fn is_fresh(&self) -> bool {
        let whole_since = *self.whole_since.lock().unwrap_or_else(PoisonError::into_inner);
        whole_since.is_some_and(|at| at.elapsed() < FRESH)
    }
}
