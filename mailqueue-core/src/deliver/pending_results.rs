//! Results that wait for the store, as the log tells of them.

use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contracts::store::StoreError;
use crate::health::{Health, WaitingResult};

/// Says once why results wait, and once that they do not any more.
pub(super) struct PendingResults {
    health: Arc<Health>,
    log: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    count: usize,
    // Compared by kind, or each text that differs a little would be logged anew.
    reason: Option<Discriminant<StoreError>>,
}

impl PendingResults {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self { health, log: Mutex::default() }
    }

    /// Notes that a result waits until the answer is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> PendingResult {
        self.log().count += 1;
        PendingResult { results: Arc::clone(self), _result: self.health.wait() }
    }

    fn log(&self) -> MutexGuard<'_, LogState> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A result that the store has not taken when it was asked.
pub(super) struct PendingResult {
    results: Arc<PendingResults>,
    // Held for its drop: while it lives, this process reclaims no lease before the long grace period.
    _result: WaitingResult,
}

impl PendingResult {
    /// Says why, if the reason is another than the one that was said last.
    pub(super) fn log_once(&self, error: &StoreError) {
        let mut log = self.results.log();
        if log.reason.replace(discriminant(error)) != Some(discriminant(error)) {
            let results = log.count;
            tracing::warn!(event = "results.waiting", %error, results, "results wait to be written down; their leases are kept");
        }
    }
}

impl Drop for PendingResult {
    fn drop(&mut self) {
        let mut log = self.results.log();
        log.count -= 1;
        if log.count == 0 && log.reason.take().is_some() {
            tracing::info!(event = "results.written", "all results are written down");
        }
    }
}
