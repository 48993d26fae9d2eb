//! The counts of a process until they are added to the others'.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::contracts::controls::{Buckets, Controls, TrafficCount, TrafficKey, TrafficOutcome};
use crate::contracts::store::{Settled, Settlement, StoreError};
use crate::domain::attempt;
use crate::domain::lane::Lane;
use crate::domain::reason::Reason;
use crate::domain::report::Verdict;
use crate::domain::status::Status;

/// The most batches of counts that wait while they cannot be added: an hour of one every ten seconds. Older ones go.
const MAX_BATCHES: usize = 360;

/// Counts what a process does. Cheap to ask from many tasks; [`flush`](Self::flush) adds the counts to the others'.
///
/// A count is lost with its process, and may be added twice where the store took it and did not answer: charts are made
/// of these, and no decision.
#[derive(Debug, Default)]
pub struct TrafficCounter {
    counts: Mutex<BTreeMap<TrafficKey, Sum>>,
    /// Batches that are being added, or could not be.
    waiting: Mutex<VecDeque<Batch>>,
}

#[derive(Debug)]
struct Batch {
    counted: Instant,
    counts: BTreeMap<TrafficKey, Sum>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    number: u64,
    wait: Buckets,
    took: Buckets,
}

impl TrafficCounter {
    /// Counts nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one event. `wait` is the time from when the message was last due until it was claimed, `took` the time from
    /// when it was first due until its end; either is left out where it makes no sense.
    pub fn count(&self, key: TrafficKey, wait: Option<Duration>, took: Option<Duration>) {
        let mut counts = lock(&self.counts);
        let sum = counts.entry(key).or_default();
        sum.number += 1;
        if let Some(wait) = wait {
            sum.wait.record(wait);
        }
        if let Some(took) = took {
            sum.took.record(took);
        }
    }

    /// Counts a result that was written down. One that tells nothing new of the message is left out.
    pub(crate) fn settled(&self, settlement: &Settlement, settled: Settled, lane: Lane, waited: Duration) {
        let Settled::Recorded(status) = settled else { return };
        let Some((outcome, reason)) = result(settlement, status) else { return };
        let took = status.is_final().then_some(settlement.context.age);
        self.count(TrafficKey { lane, outcome, reason }, Some(waited), took);
    }

    /// Adds the counts to the others'. What cannot be added waits for the next time, and goes to its own minute then.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the first batch that could not be added.
    pub async fn flush(&self, controls: &dyn Controls) -> Result<(), StoreError> {
        self.gather();
        // One batch after the other, so that an outage leaves no large one behind.
        while let Some(counts) = self.first() {
            controls.add_traffic(&counts).await?;
            lock(&self.waiting).pop_front();
        }
        Ok(())
    }

    /// Makes a batch of what was counted since the last one.
    fn gather(&self) {
        let counts = std::mem::take(&mut *lock(&self.counts));
        if counts.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        waiting.push_back(Batch { counted: Instant::now(), counts });
        if waiting.len() > MAX_BATCHES {
            waiting.pop_front();
        }
    }

    fn first(&self) -> Option<Vec<TrafficCount>> {
        let waiting = lock(&self.waiting);
        let Batch { counted, counts } = waiting.front()?;
        let age = counted.elapsed();
        let count = |(&key, &Sum { number, wait, took })| TrafficCount { key, age, number, wait, took };
        Some(counts.iter().map(count).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The outcome of a settlement that left the message in this status, and the reason of it.
fn result(settlement: &Settlement, status: Status) -> Option<(TrafficOutcome, Option<Reason>)> {
    let (word, reply) = attempt::summarize(&settlement.report)?;
    let fault = match &settlement.report.verdict {
        Verdict::Fault { fault, .. } => Some(*fault),
        _ => None,
    };
    let reason = Reason::of_outcome(word, fault, reply.as_ref());
    Some(match status {
        Status::Sent => (TrafficOutcome::Sent, None),
        Status::Failed => (TrafficOutcome::Failed, reason),
        Status::Unknown => (TrafficOutcome::Unknown, reason),
        Status::Cancelled => (TrafficOutcome::Cancelled, None),
        // A relay that was not tried says nothing that has not been counted.
        Status::Queued if fault.is_some_and(|fault| !fault.was_tried()) => return None,
        Status::Queued => (TrafficOutcome::Deferred, reason),
        Status::Sending => return None,
    })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::contracts::controls::{
        HistoryRetention, Pause, PauseRequest, Pauses, Traffic, TrafficRange, WorkerReport, Workers,
    };
    use crate::controls::MemoryControls;
    use crate::domain::pause_scope::PauseScope;

    const SENT: TrafficKey = TrafficKey { lane: Lane::Normal, outcome: TrafficOutcome::Sent, reason: None };

    async fn number(controls: &MemoryControls) -> u64 {
        let range = TrafficRange { back: Duration::from_secs(600), step: Duration::from_secs(60) };
        let traffic = controls.traffic(&range).await.expect("counts can be read");
        traffic.steps.iter().map(|step| step.number).sum()
    }

    #[tokio::test]
    async fn each_count_is_added_once() {
        let (counter, controls) = (TrafficCounter::new(), MemoryControls::new());
        counter.count(SENT, Some(Duration::ZERO), None);
        counter.count(SENT, None, None);
        for _ in 0..2 {
            counter.flush(&controls).await.expect("memory takes them");
            assert_eq!(number(&controls).await, 2);
        }
    }

    /// Out of reach for adding.
    struct Away;

    #[async_trait]
    impl Controls for Away {
        async fn pause(&self, _: &PauseRequest) -> Result<Pause, StoreError> {
            Err(away())
        }
        async fn resume(&self, _: &PauseScope) -> Result<bool, StoreError> {
            Err(away())
        }
        async fn pauses(&self) -> Result<Pauses, StoreError> {
            Err(away())
        }
        async fn report_worker(&self, _: &WorkerReport) -> Result<(), StoreError> {
            Err(away())
        }
        async fn sign_off(&self, _: &str) -> Result<(), StoreError> {
            Err(away())
        }
        async fn workers(&self) -> Result<Workers, StoreError> {
            Err(away())
        }
        async fn add_traffic(&self, _: &[TrafficCount]) -> Result<(), StoreError> {
            Err(away())
        }
        async fn traffic(&self, _: &TrafficRange) -> Result<Traffic, StoreError> {
            Err(away())
        }
        async fn prune_history(&self, _: &HistoryRetention) -> Result<(), StoreError> {
            Err(away())
        }
    }

    fn away() -> StoreError {
        StoreError::Unavailable("connection refused".into())
    }

    #[tokio::test]
    async fn counts_wait_for_a_store_that_is_away_but_not_for_ever() {
        let (counter, controls) = (TrafficCounter::new(), MemoryControls::new());
        for _ in 0..MAX_BATCHES + 5 {
            counter.count(SENT, None, None);
            assert!(counter.flush(&Away).await.is_err());
        }
        counter.flush(&controls).await.expect("memory takes them");
        assert_eq!(number(&controls).await, MAX_BATCHES as u64);
    }
}
