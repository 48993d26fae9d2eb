//! Admission of new messages by the space the server had left.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no message is inserted after there was no space for one, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether there is space for new messages, as far as the last inserts have shown. What space there is left is for
/// results: while there was none for a message, one is tried now and then.
#[derive(Default)]
pub(super) struct Space {
    shortage: Mutex<Option<Shortage>>,
}

/// Whether an insert may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// There was space.
    Yes,
    /// There was none, and it is time to look again.
    Perhaps,
    /// There was none a moment ago.
    No,
}

struct Shortage {
    pause: Duration,
    until: Instant,
}

impl Space {
    /// Whether an insert may be tried now.
    pub(super) fn admits(&self) -> Admission {
        let mut shortage = self.lock();
        let Some(short) = shortage.as_mut() else { return Admission::Yes };
        if Instant::now() < short.until {
            return Admission::No;
        }
        // This one finds out; the others wait for what it finds.
        short.pause = (short.pause * 2).min(LONGEST_PAUSE);
        short.until = Instant::now() + short.pause;
        Admission::Perhaps
    }

    /// Notes whether there was space for a message that was tried. `true`: others should be told.
    pub(super) fn note(&self, refused: bool) -> bool {
        let mut shortage = self.lock();
        if !refused {
            return shortage.take().is_some();
        }
        if shortage.is_none() {
            tracing::error!("new mail is refused: the database has no space left; what waits is sent");
        }
        let pause = shortage.as_ref().map_or(FIRST_PAUSE, |short| short.pause);
        *shortage = Some(Shortage { pause, until: Instant::now() + pause });
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shortage>> {
        self.shortage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
