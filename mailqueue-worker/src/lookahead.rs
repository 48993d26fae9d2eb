//! How many messages are claimed ahead of their turn.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The time within which what is claimed ahead has its turn. Until then another worker that is idle could have sent it.
const HORIZON: Duration = Duration::from_millis(20);

/// Messages claimed ahead at most, for each message that can be sent at once.
pub(crate) const MAX_AHEAD_PER_SLOT: usize = 3;

/// Decides how many messages are claimed before there is a slot to send them, so that slots do not wait for claims and
/// claims are large: what will be sent within a moment, and only while more is in line than could be sent at once.
#[derive(Debug)]
pub(crate) struct Lookahead {
    concurrency: usize,
    /// The mean time of an attempt lately, in microseconds.
    attempt: AtomicU64,
    /// True if the last pull got all that it asked of a lane, so that there may be more.
    has_more: AtomicBool,
}

impl Lookahead {
    /// None ahead, until attempts have been seen to be quick.
    pub(crate) fn new(concurrency: usize) -> Self {
        Self { concurrency, attempt: AtomicU64::new(u64::MAX), has_more: AtomicBool::new(false) }
    }

    /// The most that can ever be ahead.
    pub(crate) fn most(&self) -> usize {
        self.concurrency * MAX_AHEAD_PER_SLOT
    }

    /// The number of messages to be claimed ahead now.
    pub(crate) fn count(&self) -> usize {
        // Relaxed, here and below, as no other memory is read because of these.
        let attempt = self.attempt.load(Ordering::Relaxed).max(1);
        match self.has_more.load(Ordering::Relaxed) {
            true => usize::try_from(HORIZON.as_micros() as u64 * self.concurrency as u64 / attempt)
                .map_or(0, |count| count.min(self.most())),
            false => 0,
        }
    }

    /// Notes whether there is probably more than was pulled last.
    pub(crate) fn pulled(&self, has_more: bool) {
        self.has_more.store(has_more, Ordering::Relaxed);
    }

    /// Notes how long an attempt has taken.
    pub(crate) fn attempted(&self, took: Duration) {
        let (old, new) =
            (self.attempt.load(Ordering::Relaxed), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let mean = if old == u64::MAX { new } else { old - old / 16 + new / 16 };
        self.attempt.store(mean, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(attempt: Duration) -> Lookahead {
        let lookahead = Lookahead::new(32);
        lookahead.attempted(attempt);
        lookahead.pulled(true);
        lookahead
    }

    #[test]
    fn nothing_is_claimed_ahead_of_what_is_not_known_to_be_quick() {
        let lookahead = Lookahead::new(32);
        lookahead.pulled(true);
        assert_eq!(lookahead.count(), 0);
    }

    #[test]
    fn the_slower_attempts_are_the_fewer_wait_for_their_turn() {
        assert_eq!(after(Duration::from_millis(1)).count(), 96);
        assert_eq!(after(Duration::from_millis(100)).count(), 6);
        assert_eq!(after(Duration::from_secs(1)).count(), 0);
    }

    #[test]
    fn a_short_line_is_left_to_whoever_has_a_free_slot() {
        let lookahead = after(Duration::from_millis(1));
        lookahead.pulled(false);
        assert_eq!(lookahead.count(), 0);
        lookahead.pulled(true);
        assert_eq!(lookahead.count(), 96);
    }
}
