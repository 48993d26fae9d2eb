//! The health of a store: that it takes writes, and since when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::contracts::store::{MessageStore, Probe, StoreError};
use crate::telemetry;

/// The number of grace periods that results which wait in this process are given before leases are reclaimed all the same. A
/// result that the store never takes must not stop reclaiming for ever.
const MAX_RESULT_GRACES: u32 = 8;

/// The longest time for an answer that counts as there, and the greatest age of the last one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest time between two writes. More than a second, so that the probes of a sweep every second suffice.
const MAX_PROBE_INTERVAL: Duration = Duration::from_millis(1250);

/// The rules by which the health of a store is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthOptions {
    /// The time for which the store must have been taking writes before a lease that ran out is believed to be lost: workers
    /// that could not write get to write down what they did first.
    pub grace: Duration,
    /// The longest time between two writes that prove it was there in between. A third of a lease: whoever holds one has
    /// then failed to renew it no more than once.
    pub gap: Duration,
}

impl Default for HealthOptions {
    /// For leases of a minute.
    fn default() -> Self {
        Self::for_lease(Duration::from_secs(60))
    }
}

impl HealthOptions {
    /// For leases of this length: a grace of a quarter, and at least two seconds.
    #[must_use]
    pub fn for_lease(lease: Duration) -> Self {
        Self { grace: (lease / 4).max(Duration::from_secs(2)), gap: lease / 3 }
    }

    /// The time between two writes that leaves no gap when an answer is late.
    #[must_use]
    pub fn probe_interval(&self) -> Duration {
        // Fits three times into a gap, so that one late answer is no trouble.
        (self.gap / 3).clamp(Duration::from_millis(20), MAX_PROBE_INTERVAL)
    }
}

/// Knows whether the store takes writes. A read proves nothing: a demoted primary and a full disk answer reads.
pub struct Health {
    store: Arc<dyn MessageStore>,
    options: HealthOptions,
    seen: Mutex<Seen>,
    recovered: Notify,
    /// Results of this process that the store has not taken when it was asked.
    waiting: AtomicUsize,
}

struct Seen {
    /// The first write that succeeded after the last trouble.
    since: Instant,
    /// The time of the last answer.
    last: Instant,
    answer: Option<Result<Probe, StoreError>>,
}

/// The reason why mail cannot be taken in or worked off now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unready {
    /// The store takes no writes.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has no space for new messages.
    #[error("the message store has no space for new messages")]
    NoSpace,
    /// The store has not answered within a second.
    #[error("the message store did not answer within a second")]
    Late,
}

impl Health {
    /// Has seen nothing yet: the first grace period begins now.
    #[must_use]
    pub fn new(store: Arc<dyn MessageStore>, options: HealthOptions) -> Arc<Self> {
        let now = Instant::now();
        let seen = Mutex::new(Seen { since: now, last: now, answer: None });
        Arc::new(Self { store, options, seen, recovered: Notify::new(), waiting: AtomicUsize::new(0) })
    }

    /// Writes something, notes how that went, and tells the store's time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of [`MessageStore::probe`].
    pub async fn probe(&self) -> Result<Probe, StoreError> {
        // Measured from before the call, so that a call that hung counts as a gap.
        let asked = Instant::now();
        let answer = self.store.probe().await;
        self.note(asked, Instant::now(), &answer);
        telemetry::probed(answer.is_ok());
        answer
    }

    fn note(&self, asked: Instant, answered: Instant, answer: &Result<Probe, StoreError>) {
        let mut seen = self.seen();
        // Looks at both: of two probes at once, one may have hung and still end right after the other.
        let longest = answered.duration_since(asked).max(answered.duration_since(seen.last));
        let had_trouble = matches!(seen.answer, Some(Err(_))) || longest > self.options.gap;
        seen.last = answered;
        seen.answer = Some(answer.clone());
        if answer.is_ok() && had_trouble {
            seen.since = answered;
            self.recovered.notify_waiters();
        }
    }

    /// Probes until this is dropped, often enough that no lease can run out in between unnoticed. Others' probes count.
    pub async fn watch(&self) {
        let every = self.options.probe_interval();
        loop {
            let answered = {
                let seen = self.seen();
                seen.answer.as_ref().map(|_| seen.last)
            };
            let rest = answered.map_or(Duration::ZERO, |at| every.saturating_sub(at.elapsed()));
            if rest.is_zero() {
                // What it finds is noted; whoever needs the store says what that means.
                let _ = self.probe().await;
            } else {
                tokio::time::sleep(rest).await;
            }
        }
    }

    /// True if mail can be taken in and worked off: by the last answer, or a new one where that is old.
    ///
    /// # Errors
    ///
    /// [`Unready`]
    pub async fn check(&self) -> Result<(), Unready> {
        let recent = {
            let seen = self.seen();
            seen.answer.clone().filter(|_| seen.last.elapsed() <= ANSWER_TIMEOUT)
        };
        let probe = match recent {
            Some(answer) => answer?,
            None => tokio::time::timeout(ANSWER_TIMEOUT, self.probe()).await.map_err(|_| Unready::Late)??,
        };
        if probe.has_space { Ok(()) } else { Err(Unready::NoSpace) }
    }

    /// Ends when the store takes writes again after trouble that begins or lasts from now on.
    pub fn recovered(&self) -> impl Future<Output = ()> + '_ {
        // Catches a recovery from this call on, though it is first polled later (`Notify::notify_waiters`).
        self.recovered.notified()
    }

    /// True if a lease that ran out is lost: the store has been taking writes for the grace period, and nothing that
    /// this process did waits to be written down.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let (writable_for, is_recent) = {
            let seen = self.seen();
            let is_writable = matches!(seen.answer, Some(Ok(_)));
            // Counts up to the last answer, not to now: the time since then is not proven.
            (seen.last.duration_since(seen.since), is_writable && seen.last.elapsed() <= self.options.gap)
        };
        let grace = match self.waiting.load(Ordering::Acquire) {
            0 => self.options.grace,
            _ => self.options.grace * MAX_RESULT_GRACES,
        };
        is_recent && writable_for >= grace
    }

    /// Notes that a result waits for the store, until the answer is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> WaitingResult {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        WaitingResult { health: Arc::clone(self) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A result that waits to be written down.
pub(crate) struct WaitingResult {
    health: Arc<Health>,
}

impl Drop for WaitingResult {
    fn drop(&mut self) {
        // Runs for a cancelled task too, so that the count cannot stick and hold back reclaiming.
        self.health.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
