//! The lanes that an operator has paused.

use std::convert::Infallible;
use std::sync::Arc;

use mailqueue_core::Lane;
use mailqueue_core::contracts::controls::Pauses;
use tokio::sync::watch;

/// Knows which lanes are paused. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pausing(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    lanes: [bool; Lane::ALL.len()],
    /// Counts the changes.
    version: u64,
}

impl Pausing {
    /// Takes over what is paused now, and tells whether that is something else than before.
    pub(crate) fn set(&self, pauses: &Pauses) -> bool {
        let lanes = Lane::ALL.map(|lane| pauses.has_lane(lane));
        self.0.send_if_modified(|state| {
            let is_new = state.lanes != lanes;
            if is_new {
                *state = State { lanes, version: state.version + 1 };
            }
            is_new
        })
    }

    pub(crate) fn has(&self, lane: Lane) -> bool {
        self.0.borrow().lanes[lane as usize]
    }

    /// True if no lane is served.
    pub(crate) fn has_all(&self) -> bool {
        !self.0.borrow().lanes.contains(&false)
    }

    /// The number of changes so far. What was found before the last one may be of a lane that is paused now.
    pub(crate) fn version(&self) -> u64 {
        self.0.borrow().version
    }

    /// Those of `lanes` that are served.
    pub(crate) fn served(&self, lanes: &[Lane]) -> Vec<Lane> {
        lanes.iter().copied().filter(|&lane| !self.has(lane)).collect()
    }

    /// Returns while a lane is served.
    pub(crate) async fn open(&self) {
        let mut changes = self.0.subscribe();
        // Cannot fail: the sender lives as long as this.
        let _ = changes.wait_for(|state| state.lanes.contains(&false)).await;
    }

    /// Does `work` after each change from now on.
    pub(crate) async fn at_each_change(&self, work: impl Fn()) -> Infallible {
        let mut changes = self.0.subscribe();
        while changes.changed().await.is_ok() {
            work();
        }
        // Never reached: the sender lives as long as this.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use mailqueue_core::Controls;
    use mailqueue_core::contracts::controls::PauseRequest;
    use mailqueue_core::controls::MemoryControls;
    use mailqueue_core::domain::pause_scope::PauseScope;

    use super::*;

    #[tokio::test]
    async fn lanes_are_served_until_they_are_paused() {
        let (controls, pausing) = (MemoryControls::new(), Pausing::default());
        let learn = async || pausing.set(&controls.pauses().await.expect("memory answers"));
        assert!(!learn().await && pausing.version() == 0);
        controls.pause(&PauseRequest::new(PauseScope::Lane(Lane::Bulk), "ana")).await.expect("it is kept");
        assert!(learn().await && !learn().await && pausing.version() == 1);
        assert_eq!(pausing.served(&Lane::ALL), [Lane::Urgent, Lane::Normal]);
        pausing.open().await;
        controls.pause(&PauseRequest::new(PauseScope::Everything, "ana")).await.expect("it is kept");
        assert!(learn().await && pausing.has_all() && pausing.open().now_or_never().is_none());
        controls.resume(&PauseScope::Everything).await.expect("it is answered");
        assert!(learn().await);
        pausing.open().await;
    }
}
