//! Controls in this process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::contracts::controls::{
    Buckets, Controls, HistoryRetention, Pause, PauseRequest, Pauses, Traffic, TrafficCount, TrafficKey,
    TrafficRange, TrafficStep, WorkerReport, WorkerRow, Workers,
};
use crate::contracts::store::StoreError;
use crate::domain::clock::Clock;
use crate::domain::pause_scope::PauseScope;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// [`Controls`] in this process, for tests and for a host that keeps its own store: gone when it ends.
#[derive(Debug, Default)]
pub struct MemoryControls {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pauses: BTreeMap<PauseScope, Pause>,
    workers: BTreeMap<String, WorkerRow>,
    /// By the second since 1970 at which a minute or an hour begins.
    traffic: BTreeMap<(i64, TrafficKey), Sum>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    number: u64,
    wait: Buckets,
    took: Buckets,
}

impl Sum {
    fn add(&mut self, number: u64, wait: &Buckets, took: &Buckets) {
        self.number = self.number.saturating_add(number);
        self.wait.add(wait);
        self.took.add(took);
    }
}

impl MemoryControls {
    /// Nothing is paused, and nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over the time that a store has told at `asked`, so that pauses end by its clock.
    pub fn set_time(&self, told: OffsetDateTime, asked: Instant) {
        self.clock.set(told, asked);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `duration` after `time`, at the latest the end of the years that can be written.
fn later(time: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    let last = time::Date::MAX.midnight().assume_utc();
    time::Duration::try_from(duration).ok().and_then(|duration| time.checked_add(duration)).unwrap_or(last)
}

/// `duration` before `time`, at the earliest the beginning of the years that can be written.
fn earlier(time: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    let first = time::Date::MIN.midnight().assume_utc();
    time::Duration::try_from(duration).ok().and_then(|duration| time.checked_sub(duration)).unwrap_or(first)
}

/// The second at which the step of this many seconds around `time` begins.
fn start_of(second: i64, step: i64) -> i64 {
    second.div_euclid(step) * step
}

#[async_trait]
impl Controls for MemoryControls {
    async fn pause(&self, request: &PauseRequest) -> Result<Pause, StoreError> {
        let at = self.clock.now();
        let pause = Pause {
            scope: request.scope.clone(),
            until: request.length.map(|length| later(at, length)),
            reason: request.reason.clone(),
            by: request.by.clone(),
            at,
        };
        self.state().pauses.insert(pause.scope.clone(), pause.clone());
        Ok(pause)
    }

    async fn resume(&self, scope: &PauseScope) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let ended = self.state().pauses.remove(scope);
        Ok(ended.is_some_and(|pause| pause.until.is_none_or(|until| until > now)))
    }

    async fn pauses(&self) -> Result<Pauses, StoreError> {
        let now = self.clock.now();
        let in_force = self
            .state()
            .pauses
            .values()
            .filter(|pause| pause.until.is_none_or(|until| until > now))
            .cloned()
            .collect();
        Ok(Pauses { now, in_force })
    }

    async fn report_worker(&self, report: &WorkerReport) -> Result<(), StoreError> {
        let now = self.clock.now();
        let row = WorkerRow {
            name: report.name.clone(),
            version: report.version.clone(),
            started_at: earlier(now, report.running_for),
            seen_at: now,
            concurrency: report.concurrency,
            in_flight: report.in_flight,
            state: report.state,
            relays: report.relays.clone(),
        };
        self.state().workers.insert(row.name.clone(), row);
        Ok(())
    }

    async fn sign_off(&self, name: &str) -> Result<(), StoreError> {
        self.state().workers.remove(name);
        Ok(())
    }

    async fn workers(&self) -> Result<Workers, StoreError> {
        Ok(Workers { now: self.clock.now(), rows: self.state().workers.values().cloned().collect() })
    }

    async fn add_traffic(&self, counts: &[TrafficCount]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        for count in counts {
            let minute = start_of(earlier(now, count.age).unix_timestamp(), MINUTE);
            let sum = state.traffic.entry((minute, count.key)).or_default();
            sum.add(count.number, &count.wait, &count.took);
        }
        Ok(())
    }

    async fn traffic(&self, range: &TrafficRange) -> Result<Traffic, StoreError> {
        let (now, step) = (self.clock.now(), range.step_minutes() * MINUTE);
        let first = start_of(earlier(now, range.back).unix_timestamp(), step);
        let mut sums: BTreeMap<(i64, TrafficKey), Sum> = BTreeMap::new();
        for (&(start, key), sum) in self.state().traffic.iter().filter(|((start, _), _)| *start >= first) {
            sums.entry((start_of(start, step), key)).or_default().add(sum.number, &sum.wait, &sum.took);
        }
        let step = |((start, key), Sum { number, wait, took })| {
            let start = OffsetDateTime::from_unix_timestamp(start).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            TrafficStep { start, key, number, wait, took }
        };
        Ok(Traffic { now, steps: sums.into_iter().map(step).collect() })
    }

    async fn prune_history(&self, retention: &HistoryRetention) -> Result<(), StoreError> {
        let now = self.clock.now();
        let before = |age| earlier(now, age).unix_timestamp();
        let (minutes, hours) = (start_of(before(retention.minutes), HOUR), before(retention.hours));
        let mut state = self.state();
        state.pauses.retain(|_, pause| pause.until.is_none_or(|until| until > now));
        state.workers.retain(|_, row| row.seen_at > earlier(now, retention.workers));
        for ((start, key), sum) in std::mem::take(&mut state.traffic) {
            if start < hours {
                continue;
            }
            let start = if start < minutes { start_of(start, HOUR) } else { start };
            state.traffic.entry((start, key)).or_default().add(sum.number, &sum.wait, &sum.took);
        }
        Ok(())
    }
}
