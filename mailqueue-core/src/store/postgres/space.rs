//! Admission of new messages by the space the server had left.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no message is inserted after there was no space for one, at first and at most.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The space for new messages, as far as the last inserts have shown. The space that is left is for
/// results: while there was none for a message, one is tried now and then.
#[derive(Default)]
pub(super) struct Space {
    shortage: Mutex<Option<Shortage>>,
}

/// The permission to try an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpaceCheck {
    /// There was space.
    Yes,
    /// There was none, and it is time to look again.
    Probe,
    /// There was none a moment ago.
    No,
}

struct Shortage {
    interval: Duration,
    until: Instant,
}

impl Space {
    /// Tells whether an insert may be tried now.
    pub(super) fn check(&self) -> SpaceCheck {
        let mut shortage = self.lock();
        let Some(short) = shortage.as_mut() else { return SpaceCheck::Yes };
        if Instant::now() < short.until {
            return SpaceCheck::No;
        }
        // This one finds out; the others wait for what it finds.
        short.interval = (short.interval * 2).min(MAX_RETRY_INTERVAL);
        short.until = Instant::now() + short.interval;
        SpaceCheck::Probe
    }

    /// Notes whether there was space for a message that was tried. `true`: other processes need to know.
    pub(super) fn note(&self, refused: bool) -> bool {
        let mut shortage = self.lock();
        if !refused {
            return shortage.take().is_some();
        }
        if shortage.is_none() {
            tracing::error!(
                event = "store.no_space",
                "new mail is refused: the database has no space left; what waits is sent"
            );
        }
        // Only `check` doubles it: inserts that were under way together count as one try.
        let interval = shortage.as_ref().map_or(MIN_RETRY_INTERVAL, |short| short.interval);
        *shortage = Some(Shortage { interval, until: Instant::now() + interval });
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shortage>> {
        self.shortage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
