//! The share of memory that a claim takes for each message.

use std::sync::atomic::{AtomicU64, Ordering};

/// The least share. Most mail is smaller.
const LEAST: u64 = 32 << 10;

/// The octets that a claim takes for each message before its size is known: twice as much as the largest had of late, so that
/// claims of small messages can be large.
#[derive(Debug)]
pub(crate) struct Share {
    most: u64,
    largest: AtomicU64,
}

impl Share {
    /// All of `most`, until sizes have been seen.
    pub(crate) fn new(most: u64) -> Self {
        Self { most, largest: AtomicU64::new(most) }
    }

    /// The share now.
    pub(crate) fn octets(&self) -> u64 {
        // Relaxed, here and below, as no other memory is read because of it.
        (self.largest.load(Ordering::Relaxed) * 2).clamp(LEAST.min(self.most), self.most)
    }

    /// Notes the size of the largest message of a claim. One that needs more than a share ever gives counts for nothing.
    pub(crate) fn seen(&self, largest: u64) {
        let before = self.largest.load(Ordering::Relaxed);
        let seen = if largest > self.most { 0 } else { largest };
        self.largest.store(seen.max(before - before / 8), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_make_it_small_and_a_large_one_large_again() {
        let share = Share::new(512 << 10);
        assert_eq!(share.octets(), 512 << 10);
        (0..40).for_each(|_| share.seen(1000));
        assert_eq!(share.octets(), LEAST);
        share.seen(100 << 10);
        assert_eq!(share.octets(), 200 << 10);
    }

    #[test]
    fn messages_that_never_fit_do_not_count() {
        let share = Share::new(64 << 10);
        (0..40).for_each(|_| share.seen(1 << 20));
        assert_eq!(share.octets(), LEAST);
    }

    #[test]
    fn little_memory_is_split_all_the_same() {
        let share = Share::new(1000);
        share.seen(10);
        assert_eq!(share.octets(), 1000);
    }
}
