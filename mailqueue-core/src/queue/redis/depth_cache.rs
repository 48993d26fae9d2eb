//! The depth of each lane when last seen.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::lane::Lane;

/// The time for which a full lane is taken to be full.
const FULL_TIMEOUT: Duration = Duration::from_millis(100);

/// The depth of each lane by the last answer of Redis, so that pushes to a full lane cost nothing.
#[derive(Debug)]
pub(super) struct DepthCache {
    cap: u64,
    lanes: Mutex<[(u64, Option<Instant>); Lane::ALL.len()]>,
}

impl DepthCache {
    /// Nothing has been seen yet.
    pub(super) fn new(cap: u64) -> Self {
        Self { cap, lanes: Mutex::default() }
    }

    /// The last answer of Redis about the lane; 0 before it said anything.
    pub(super) fn seen(&self, lane: Lane) -> u64 {
        self.lanes()[lane as usize].0
    }

    /// True when the lane was full when last seen.
    pub(super) fn is_full(&self, lane: Lane) -> bool {
        self.seen(lane) >= self.cap
    }

    /// True when it is time to ask a full lane again.
    pub(super) fn is_stale(&self, lane: Lane, now: Instant) -> bool {
        self.lanes()[lane as usize].1.is_none_or(|at| now.saturating_duration_since(at) >= FULL_TIMEOUT)
    }

    /// Takes note of what Redis says.
    pub(super) fn note(&self, lane: Lane, depth: u64, now: Instant) {
        self.lanes()[lane as usize] = (depth, Some(now));
    }

    fn lanes(&self) -> MutexGuard<'_, [(u64, Option<Instant>); Lane::ALL.len()]> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_is_asked_again_after_a_while() {
        let (cache, now) = (DepthCache::new(10), Instant::now());
        assert!(!cache.is_full(Lane::Normal));
        cache.note(Lane::Normal, 10, now);
        assert!(cache.is_full(Lane::Normal) && !cache.is_full(Lane::Bulk));
        assert!(!cache.is_stale(Lane::Normal, now) && cache.is_stale(Lane::Normal, now + FULL_TIMEOUT));
        cache.note(Lane::Normal, 9, now);
        assert!(!cache.is_full(Lane::Normal));
    }
}
