//! The number of messages that a relay is given at once.

use std::time::Duration;

use tokio::time::Instant;

/// The time for which a bound that was learnt from a refused connection holds before one more is tried.
pub(super) const BOUND_INTERVAL: Duration = Duration::from_secs(20);

/// A number of slots that grows with success, one by one and no faster than its slope, and shrinks with trouble.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    cap: usize,
    now: usize,
    grown: Instant,
    step: Duration,
    /// As many as the relay was seen to bear, and when that was.
    bound: usize,
    bound_since: Instant,
    cuts: u64,
}

impl ConcurrencyLimit {
    /// All of `cap`; after trouble `slope` more a second.
    pub(super) fn new(cap: usize, slope: u32) -> Self {
        // At least one, because a `Duration` divided by zero panics.
        let (grown, step) = (Instant::now(), Duration::from_secs(1) / slope.max(1));
        Self { cap, now: cap, grown, step, bound: cap, bound_since: grown, cuts: 0 }
    }

    pub(super) fn now(&self) -> usize {
        self.now
    }

    /// True when there is nothing left to grow.
    pub(super) fn is_whole(&self) -> bool {
        self.now == self.cap
    }

    /// The number of cuts so far.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts
    }

    /// One, from which it grows.
    pub(super) fn start_slowly(&mut self) {
        (self.now, self.grown) = (1, Instant::now());
    }

    /// After a success. Time without any is not saved up.
    pub(super) fn grow(&mut self) {
        if self.bound < self.cap && self.bound_since.elapsed() >= BOUND_INTERVAL {
            self.bound += 1;
            self.bound_since = Instant::now();
        }
        if self.now < self.bound && self.grown.elapsed() >= self.step {
            self.now += 1;
            self.grown = Instant::now();
        }
    }

    /// No more than so many for a while.
    pub(super) fn bound(&mut self, bound: usize) {
        // At least one, or no success could ever raise it again.
        self.bound = bound.max(1);
        self.bound_since = Instant::now();
        self.now = self.now.min(self.bound);
    }

    /// Half of the slots in use; `false` if that is none.
    pub(super) fn cut(&mut self, in_use: usize) -> bool {
        // Cannot go below one: the caller opens the breaker instead.
        if self.now == 1 {
            return false;
        }
        self.cuts += 1;
        // Halves what was in use, because a limit that was not reached eases nothing.
        self.now = (self.now.min(in_use) / 2).max(1);
        self.grown = Instant::now();
        true
    }
}
