//! A relay's pause.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Says whether an operator has paused a relay, and wakes those that wait for the end of it.
#[derive(Debug, Default)]
pub(super) struct PauseSwitch {
    on: AtomicBool,
    ended: Notify,
}

impl PauseSwitch {
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Switches and tells whether that changed anything.
    pub(super) fn set(&self, on: bool) -> bool {
        let was_on = self.on.swap(on, Ordering::AcqRel);
        if was_on && !on {
            self.ended.notify_waiters();
        }
        was_on != on
    }

    /// Returns while it is off.
    pub(super) async fn off(&self) {
        loop {
            // Made before the look at the state: `notify_waiters` leaves no permit for a later waiter.
            let ended = self.ended.notified();
            if !self.is_on() {
                return;
            }
            ended.await;
        }
    }
}
