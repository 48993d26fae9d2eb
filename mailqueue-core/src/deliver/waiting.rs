//! Results that wait for the store, as the log tells of them.

use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contracts::store::StoreError;
use crate::health::{Health, WaitingResult};

/// Says once why results wait, and once that they do not any more.
pub(super) struct Waiting {
    health: Arc<Health>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    count: usize,
    reason: Option<Discriminant<StoreError>>,
}

impl Waiting {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self { health, told: Mutex::default() }
    }

    /// Notes that a result waits until the answer is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Unwritten {
        self.told().count += 1;
        Unwritten { waiting: Arc::clone(self), _result: self.health.wait() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A result that the store has not taken when it was asked.
pub(super) struct Unwritten {
    waiting: Arc<Waiting>,
    _result: WaitingResult,
}

impl Unwritten {
    /// Says why, if the reason is another than the one that was said last.
    pub(super) fn tell(&self, error: &StoreError) {
        let mut told = self.waiting.told();
        if told.reason.replace(discriminant(error)) != Some(discriminant(error)) {
            let results = told.count;
            tracing::warn!(%error, results, "results wait to be written down; their leases are kept");
        }
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        let mut told = self.waiting.told();
        told.count -= 1;
        if told.count == 0 && told.reason.take().is_some() {
            tracing::info!("all results are written down");
        }
    }
}
