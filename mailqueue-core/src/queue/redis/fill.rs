//! How full the lanes were when last seen.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::lane::Lane;

/// How long a full lane is taken to be full before it is asked again.
const MEMORY: Duration = Duration::from_millis(100);

/// The depth of each lane as Redis told it last, so that pushes to a full lane cost nothing.
#[derive(Debug)]
pub(super) struct Fill {
    cap: u64,
    lanes: Mutex<[(u64, Option<Instant>); Lane::ALL.len()]>,
}

impl Fill {
    /// Nothing has been seen yet.
    pub(super) fn new(cap: u64) -> Self {
        Self { cap, lanes: Mutex::default() }
    }

    /// What Redis said last about the lane; 0 before it said anything.
    pub(super) fn seen(&self, lane: Lane) -> u64 {
        self.lanes()[lane as usize].0
    }

    /// Whether the lane was full when last seen.
    pub(super) fn is_full(&self, lane: Lane) -> bool {
        self.seen(lane) >= self.cap
    }

    /// Whether it is time to ask a full lane again.
    pub(super) fn is_stale(&self, lane: Lane, now: Instant) -> bool {
        self.lanes()[lane as usize].1.is_none_or(|at| now.saturating_duration_since(at) >= MEMORY)
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
        let (fill, now) = (Fill::new(10), Instant::now());
        assert!(!fill.is_full(Lane::Normal));
        fill.note(Lane::Normal, 10, now);
        assert!(fill.is_full(Lane::Normal) && !fill.is_full(Lane::Bulk));
        assert!(!fill.is_stale(Lane::Normal, now) && fill.is_stale(Lane::Normal, now + MEMORY));
        fill.note(Lane::Normal, 9, now);
        assert!(!fill.is_full(Lane::Normal));
    }
}
