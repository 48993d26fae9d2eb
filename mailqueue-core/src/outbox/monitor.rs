//! The store's time and backlog, kept at hand.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::admission::{Admission, Capacity};
use crate::contracts::store::{Backlog, MessageStore};
use crate::domain::clock::Clock;
use crate::telemetry;

/// The time between two questions to the store while there is room.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The rest after an answer, as a multiple of the time it took, so that counting a long queue stays a small part of the
/// store's work.
const REST_FACTOR: u32 = 20;

/// The shortest time between two questions, however much a fresh count is wanted.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// The longest rest after an answer.
const MAX_INTERVAL: Duration = Duration::from_secs(30);

/// The longest wait for the first answer.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the store for its time and backlog, and keeps the last answer.
pub(super) struct StoreMonitor {
    snapshot: Arc<Snapshot>,
    _asking: AbortOnDropHandle<()>,
}

struct Snapshot {
    clock: Clock,
    backlog: RwLock<Option<Backlog>>,
    admission: Arc<Admission>,
}

impl StoreMonitor {
    /// Asks once, then every few seconds, and sooner where room is short, until it is dropped.
    pub(super) async fn start(store: Arc<dyn MessageStore>, capacity: Capacity) -> Self {
        let admission = Arc::new(Admission::new(capacity));
        let snapshot = Arc::new(Snapshot { clock: Clock::new(), backlog: RwLock::default(), admission });
        // A first answer that does not come in time is no fault: the loop asks again.
        let _ = tokio::time::timeout(FIRST_ANSWER_TIMEOUT, snapshot.ask(&*store)).await;
        let asking = Arc::clone(&snapshot);
        let asking = tokio::spawn(async move {
            let mut took = Duration::ZERO;
            loop {
                tokio::time::sleep((took * REST_FACTOR).clamp(MIN_INTERVAL, MAX_INTERVAL)).await;
                // A wanted count ends the wait early; the timeout is the rule.
                let _ = tokio::time::timeout(
                    POLL_INTERVAL.saturating_sub(MIN_INTERVAL),
                    asking.admission.count_wanted(),
                )
                .await;
                let asked = Instant::now();
                let answered = asking.ask(&*store).await;
                // Without an answer the time tells of the outage, not of what counting costs.
                took = if answered { asked.elapsed() } else { Duration::ZERO };
            }
        });
        Self { snapshot, _asking: AbortOnDropHandle::new(asking) }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.snapshot.clock
    }

    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.snapshot.admission
    }

    pub(super) fn backlog(&self) -> Option<Backlog> {
        *self.snapshot.backlog.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// Takes over an answer of the store; false when there was none.
    async fn ask(&self, store: &dyn MessageStore) -> bool {
        let asked = Instant::now();
        let Ok(told) = store.backlog(self.admission.begin_count()).await else { return false };
        self.admission.apply_count(&told);
        // Anchored at the question, so that the clock is ahead by the answer's delay at most and never behind.
        self.clock.set(told.now, asked);
        *self.backlog.write().unwrap_or_else(PoisonError::into_inner) = Some(told);
        telemetry::backlog_counted(&told);
        true
    }
}
