//! The store's time and backlog, kept at hand.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::admission::{Admission, Capacity};
use crate::contracts::store::{Backlog, MessageStore, StoreError};
use crate::domain::clock::Clock;
use crate::telemetry;

/// The time between two questions to the store.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The rest after a count, as a multiple of the time it took: counting is a five-hundredth of one processor's work at
/// most, however much waits.
const REST_FACTOR: u32 = 500;

/// The same while a fresh count is wanted.
const SHORT_REST_FACTOR: u32 = 20;

/// The shortest rest, however much a fresh count is wanted.
const MIN_REST: Duration = Duration::from_millis(200);

/// The longest rests.
const MAX_REST: Duration = Duration::from_secs(300);
const MAX_SHORT_REST: Duration = Duration::from_secs(30);

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
    /// Asks once, then every few seconds, until it is dropped. What waits is counted more seldom the longer that takes, and
    /// sooner where it is wanted.
    pub(super) async fn start(store: Arc<dyn MessageStore>, capacity: Capacity) -> Self {
        let admission = Arc::new(Admission::new(capacity));
        let snapshot = Arc::new(Snapshot { clock: Clock::new(), backlog: RwLock::default(), admission });
        let mut last = LastCount::none();
        // A first answer that does not come in time is no fault: the loop asks again.
        if let Ok(counted) =
            tokio::time::timeout(FIRST_ANSWER_TIMEOUT, snapshot.ask(&*store, Asked::Count)).await
        {
            last = counted;
        }
        let asking = Arc::clone(&snapshot);
        let asking = tokio::spawn(async move {
            loop {
                let wanted = async {
                    asking.admission.count_wanted().await;
                    tokio::time::sleep_until(last.end + last.rest(SHORT_REST_FACTOR, MAX_SHORT_REST)).await;
                };
                let is_wanted = tokio::time::timeout(POLL_INTERVAL, wanted).await.is_ok();
                if is_wanted || last.end.elapsed() >= last.rest(REST_FACTOR, MAX_REST) {
                    last = asking.ask(&*store, Asked::Count).await;
                } else {
                    asking.ask(&*store, Asked::Time).await;
                }
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

/// The part of an answer that is wanted of the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// All of it.
    Count,
    /// All but the count, which costs the more the more waits.
    Time,
}

/// The last time that was counted.
#[derive(Clone, Copy)]
struct LastCount {
    end: Instant,
    took: Duration,
}

impl LastCount {
    fn none() -> Self {
        Self { end: Instant::now(), took: Duration::ZERO }
    }

    /// The time in which not to count again.
    fn rest(&self, factor: u32, most: Duration) -> Duration {
        (self.took * factor).clamp(MIN_REST, most)
    }
}

impl Snapshot {
    /// Takes over an answer of the store, if there is one.
    async fn ask(&self, store: &dyn MessageStore, asked: Asked) -> LastCount {
        let began = Instant::now();
        let count = if asked == Asked::Count { self.admission.begin_count() } else { 0 };
        let answer = store.backlog(count).await;
        let counted = LastCount { end: Instant::now(), took: began.elapsed() };
        let mut told = match answer {
            Ok(told) => told,
            // A count that its limit of time ended costs as much as one that was answered.
            Err(StoreError::Overloaded(_)) => return counted,
            // The time would tell of the outage, not of what counting costs.
            Err(_) => return LastCount::none(),
        };
        // Anchored at the question, so that the clock is ahead by the answer's delay at most and never behind.
        self.clock.set(told.now, began.into_std());
        telemetry::backlog_counted(&told);
        let mut backlog = self.backlog.write().unwrap_or_else(PoisonError::into_inner);
        if asked == Asked::Count {
            self.admission.apply_count(&told);
        } else if let Some(last) = *backlog {
            (told.queued, told.octets) = (last.queued, last.octets);
        }
        *backlog = Some(told);
        counted
    }
}
