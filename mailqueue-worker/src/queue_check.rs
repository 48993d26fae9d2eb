//! What the last sweep found in the queue.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mailqueue_core::Lane;
use mailqueue_core::sweep::Swept;

use crate::pausing::Pausing;

/// The time for which a pass that found nothing missing is believed. More than the usual time between two passes, so that
/// an idle worker asks the store once for each.
const FRESH: Duration = Duration::from_secs(2);

/// Knows of which lanes the last pass found everything that is due in the queue, so that an empty queue means that nothing
/// is due.
#[derive(Debug, Default)]
pub(crate) struct QueueCheck {
    last: Mutex<Option<(Instant, [bool; Lane::ALL.len()])>>,
}

impl QueueCheck {
    /// Notes a pass; `None` is one that failed.
    pub(crate) fn note(&self, swept: Option<&Swept>) {
        let last = swept.map(|swept| (Instant::now(), swept.whole));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// True shortly after a pass that found nothing missing of the lanes that are served. A paused lane that holds mail
    /// says nothing of the others.
    pub(crate) fn is_fresh(&self, pausing: &Pausing) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|(at, whole)| {
            at.elapsed() < FRESH
                && Lane::ALL.into_iter().zip(whole).all(|(lane, is_whole)| is_whole || pausing.has(lane))
        })
    }
}
