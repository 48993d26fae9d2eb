//! Putting right what crashes, outages and time have left behind.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::contracts::queue::{Queue, QueueError};
use crate::contracts::store::{MessageStore, Pruned, Retention, Statistics, StoreError};
use crate::domain::lane::Lane;
use crate::domain::transition::DeliveryPolicy;
use crate::waiting;

/// How many entries one refill adds to a lane at most.
const REFILL_PAGE: usize = 10_000;

/// A lane this long needs no hurry.
const LONG_ENOUGH: u64 = 3 * REFILL_PAGE as u64;

/// How many leases one step of reclaiming ends, and how many steps a pass takes.
const RECLAIM_PAGE: usize = 200;
const RECLAIM_STEPS: usize = 20;

/// How many messages one pass forgets, and how often it looks for some.
const PRUNE_PAGE: usize = 1000;
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// A message due this recently may still be on its way to the queue.
const MARGIN: Duration = Duration::from_millis(250);

/// A store that takes this long to tell the time has been out of reach for others too.
const SLOW: Duration = Duration::from_millis(500);

/// How a deployment sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepOptions {
    /// How often a pass is made. The sweeper itself keeps no time but notices when passes are late.
    pub interval: Duration,
    /// How long the store must have been answering before a lease that ran out is believed to be lost: workers
    /// that could not reach it get to write down what they did first.
    pub grace: Duration,
    /// The rules for what a lost lease means.
    pub policy: DeliveryPolicy,
    /// How long finished messages are kept.
    pub retention: Retention,
}

impl Default for SweepOptions {
    /// Every second, a grace of 15 seconds.
    fn default() -> Self {
        let (interval, grace) = (Duration::from_secs(1), Duration::from_secs(15));
        Self { interval, grace, policy: DeliveryPolicy::default(), retention: Retention::default() }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Entries put back into the queue.
    pub refilled: usize,
    /// Whether more is due than one pass puts back: the next should follow soon.
    pub backlog: bool,
    /// Leases that had run out.
    pub reclaimed: usize,
    /// What was forgotten.
    pub pruned: Pruned,
}

/// Makes passes. Any number of workers may sweep the same store at once.
pub struct Sweeper {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    options: SweepOptions,
    health: Mutex<Health>,
    /// Lanes whose last refill was a full page: there is more behind it, which the head does not show.
    behind: Mutex<HashSet<Lane>>,
}

/// Since when the store has been answering, as far as this sweeper has seen.
struct Health {
    since: Instant,
    last: Instant,
    pruned: Option<Instant>,
}

/// What refilling one lane came to.
enum Refill {
    /// Nothing was missing; whether the lane is empty.
    Complete { is_empty: bool },
    /// So many entries were put back, and the fullest lane holds so many now.
    Added { count: usize, depth: u64 },
}

impl Sweeper {
    /// A sweeper that has seen nothing yet: it reclaims only after the first grace period.
    #[must_use]
    pub fn new(store: Arc<dyn MessageStore>, queue: Arc<dyn Queue>, options: SweepOptions) -> Self {
        let now = Instant::now();
        let health = Mutex::new(Health { since: now, last: now, pruned: None });
        Self { store, queue, options, health, behind: Mutex::default() }
    }

    /// One pass: refill, reclaim, and every minute prune.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer. A queue that does not is no error: it is filled later.
    pub async fn pass(&self) -> Result<Swept, StoreError> {
        let statistics = self.check_health().await?;
        let (refilled, backlog) = self.refill().await?;
        let reclaimed = if self.is_settled() { self.reclaim(&statistics).await? } else { 0 };
        let pruned = if self.is_time_to_prune() { self.prune().await? } else { Pruned::default() };
        Ok(Swept { refilled, backlog, reclaimed, pruned })
    }

    /// Asks the store for its time and notes outages: an error, or an answer that came late.
    async fn check_health(&self) -> Result<Statistics, StoreError> {
        let asked = Instant::now();
        let told = self.store.statistics(0).await;
        let now = Instant::now();
        let took = now.duration_since(asked);
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = now.duration_since(health.last);
        let was_slow = took > self.options.interval.max(SLOW) || gap > self.options.interval * 3 + 2 * SLOW;
        if told.is_err() || was_slow {
            health.since = now;
        }
        health.last = now;
        drop(health);
        let statistics = told?;
        waiting::show(&statistics);
        Ok(statistics)
    }

    fn is_settled(&self) -> bool {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.last.duration_since(health.since) >= self.options.grace
    }

    fn is_time_to_prune(&self) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let due = health.pruned.is_none_or(|last| last.elapsed() >= PRUNE_EVERY);
        if due {
            health.pruned = Some(Instant::now());
        }
        due
    }

    /// What is due before a lane's head is missing from the queue: it is put back.
    async fn refill(&self) -> Result<(usize, bool), StoreError> {
        let mut refilled = 0;
        for lane in Lane::ALL {
            match self.refill_lane(lane).await? {
                Ok(refill) => refilled += self.note(lane, &refill),
                // Workers ask the store themselves while the queue is out of reach.
                Err(error) => {
                    tracing::debug!(%error, lane = lane.as_str(), "not refilled");
                    break;
                }
            }
        }
        metrics::counter!("mailqueue_refilled_total").increment(refilled as u64);
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((refilled, !behind.is_empty()))
    }

    /// Notes whether there is more behind what a lane holds, and returns how much was added.
    fn note(&self, lane: Lane, refill: &Refill) -> usize {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        match refill {
            Refill::Added { count: REFILL_PAGE, depth } if *depth < LONG_ENOUGH => behind.insert(lane),
            Refill::Added { .. } | Refill::Complete { is_empty: true } => behind.remove(&lane),
            Refill::Complete { is_empty: false } => false,
        };
        if let Refill::Added { count, .. } = refill { *count } else { 0 }
    }

    async fn refill_lane(&self, lane: Lane) -> Result<Result<Refill, QueueError>, StoreError> {
        let head = match self.queue.head(lane).await {
            Ok(head) => head,
            Err(error) => return Ok(Err(error)),
        };
        if let Ok(depth) = self.queue.depth(lane).await {
            metrics::gauge!("mailqueue_queue_depth", "lane" => lane.as_str()).set(depth as f64);
        }
        let missing = self.store.due(lane, head.map(|due_at| due_at - MARGIN), REFILL_PAGE).await?;
        if missing.is_empty() {
            return Ok(Ok(Refill::Complete { is_empty: head.is_none() }));
        }
        Ok(self.queue.push(&missing).await.map(|depth| Refill::Added { count: missing.len(), depth }))
    }

    /// Ends leases that ran out before the store last told the time. A store frozen since then ends none: its answer
    /// to this comes late, and the next pass sees the gap.
    async fn reclaim(&self, statistics: &Statistics) -> Result<usize, StoreError> {
        let mut total = 0;
        for _ in 0..RECLAIM_STEPS {
            let page = self.store.reclaim(statistics.now, RECLAIM_PAGE, &self.options.policy).await?;
            for reclaimed in &page {
                let (message_id, status) = (reclaimed.id, reclaimed.status.as_str());
                tracing::warn!(%message_id, status, ambiguous = reclaimed.ambiguous, "lease ran out");
                metrics::counter!("mailqueue_leases_expired_total").increment(1);
                if reclaimed.ambiguous {
                    metrics::counter!("mailqueue_ambiguous_total", "cause" => "lease_lost").increment(1);
                }
                if reclaimed.status.is_final() {
                    metrics::counter!("mailqueue_finished_total", "outcome" => status).increment(1);
                }
            }
            total += page.len();
            if page.len() < RECLAIM_PAGE {
                break;
            }
        }
        Ok(total)
    }

    async fn prune(&self) -> Result<Pruned, StoreError> {
        let pruned = self.store.prune(&self.options.retention, PRUNE_PAGE).await?;
        // A full page means there is more: the next pass goes on.
        if pruned.contents.max(pruned.records).max(pruned.keys) >= PRUNE_PAGE as u64 {
            self.health.lock().unwrap_or_else(PoisonError::into_inner).pruned = None;
        }
        Ok(pruned)
    }
}
