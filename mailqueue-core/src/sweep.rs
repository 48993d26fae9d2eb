//! Putting right what crashes, outages and time have left behind.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::contracts::queue::{Queue, QueueError};
use crate::contracts::store::{MessageStore, Pruned, Retention, StoreError};
use crate::domain::lane::Lane;
use crate::domain::transition::DeliveryPolicy;
use crate::health::Health;
use crate::telemetry;

/// The most entries that one refill adds to a lane.
const REFILL_PAGE: usize = 10_000;

/// A lane this long needs no hurry.
const AMPLE_DEPTH: u64 = 3 * REFILL_PAGE as u64;

/// The most leases that one step of reclaiming ends, and the most steps of a pass.
const RECLAIM_PAGE: usize = 200;
const MAX_RECLAIM_STEPS: usize = 20;

/// The most messages that one pass prunes, and the time between two passes that prune.
const PRUNE_PAGE: usize = 1000;
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// A message due this recently may still be on its way to the queue.
const MARGIN: Duration = Duration::from_millis(250);

/// The sweep options of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepOptions {
    /// The time between two passes. The sweeper itself keeps no time.
    pub interval: Duration,
    /// The rules for what a lost lease means.
    pub policy: DeliveryPolicy,
    /// The time for which finished messages are kept.
    pub retention: Retention,
}

impl Default for SweepOptions {
    /// Every second.
    fn default() -> Self {
        let interval = Duration::from_secs(1);
        Self { interval, policy: DeliveryPolicy::default(), retention: Retention::default() }
    }
}

/// The work of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Entries put back into the queue.
    pub refilled: usize,
    /// True if more is due than one pass puts back: the next should follow soon.
    pub backlog: bool,
    /// Leases that had run out.
    pub reclaimed: usize,
    /// The pruned messages.
    pub pruned: Pruned,
}

/// Makes passes. Any number of workers may sweep the same store at once.
pub struct Sweeper {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    options: SweepOptions,
    health: Arc<Health>,
    /// The time of the last pruning.
    pruned: Mutex<Option<Instant>>,
    /// Lanes whose last refill was a full page: there is more behind it, which the head does not show.
    behind: Mutex<HashSet<Lane>>,
}

/// The outcome of refilling one lane.
enum Refill {
    /// Nothing was missing; whether the lane is empty.
    Complete { is_empty: bool },
    /// So many entries were put back, and the fullest lane holds so many now.
    Added { count: usize, depth: u64 },
}

impl Sweeper {
    /// A sweeper that ends leases only while `health`, that of the store, says that they are lost.
    #[must_use]
    pub fn new(
        store: Arc<dyn MessageStore>,
        queue: Arc<dyn Queue>,
        health: Arc<Health>,
        options: SweepOptions,
    ) -> Self {
        Self { store, queue, options, health, pruned: Mutex::default(), behind: Mutex::default() }
    }

    /// One pass: refill, reclaim, and every minute prune. Each step is taken whatever became of the others.
    ///
    /// # Errors
    ///
    /// The first [`StoreError`] of the steps; nothing is begun while the store takes no writes. A queue that does not
    /// answer is no error: it is filled later.
    pub async fn pass(&self) -> Result<Swept, StoreError> {
        // Writes first: nothing else is begun without proof that the store takes writes.
        let now = self.health.probe().await?.now;
        // Counts no messages (0): the metric needs only the age of the oldest one.
        let told = self.store.backlog(0).await.map(|backlog| telemetry::backlog_counted(&backlog));
        let refill = self.refill().await;
        let reclaim = if self.health.is_settled() { self.reclaim(now).await } else { Ok(0) };
        let prune = if self.is_time_to_prune() { self.prune().await } else { Ok(Pruned::default()) };
        // Errors are returned only here, so that a step that fails keeps no other from its work.
        told?;
        let (refilled, backlog) = refill?;
        Ok(Swept { refilled, backlog, reclaimed: reclaim?, pruned: prune? })
    }

    fn is_time_to_prune(&self) -> bool {
        let mut pruned = self.pruned.lock().unwrap_or_else(PoisonError::into_inner);
        let due = pruned.is_none_or(|last| last.elapsed() >= PRUNE_INTERVAL);
        if due {
            // Noted before the pruning itself, so that one that fails is not repeated each second.
            *pruned = Some(Instant::now());
        }
        due
    }

    /// Puts messages back that are due before a lane's head and so are missing from the queue.
    async fn refill(&self) -> Result<(usize, bool), StoreError> {
        let mut refilled = 0;
        for lane in Lane::ALL {
            match self.refill_lane(lane).await? {
                Ok(refill) => refilled += self.note(lane, &refill),
                // Workers ask the store themselves while the queue is out of reach.
                Err(error) => {
                    tracing::debug!(%error, lane = lane.as_str(), "not refilled");
                    // Skips the other lanes too: they are in the same queue, and each would wait for the same fault.
                    break;
                }
            }
        }
        telemetry::refilled(refilled);
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((refilled, !behind.is_empty()))
    }

    /// Notes whether there is more behind what a lane holds, and returns how much was added.
    fn note(&self, lane: Lane, refill: &Refill) -> usize {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        match refill {
            // A full page has more behind it, but a queue that is long enough can wait for the next pass.
            Refill::Added { count: REFILL_PAGE, depth } if *depth < AMPLE_DEPTH => behind.insert(lane),
            Refill::Added { .. } | Refill::Complete { is_empty: true } => behind.remove(&lane),
            // Changes nothing: what lies behind the head may still be missing, and the head does not show it.
            Refill::Complete { is_empty: false } => false,
        };
        if let Refill::Added { count, .. } = refill { *count } else { 0 }
    }

    async fn refill_lane(&self, lane: Lane) -> Result<Result<Refill, QueueError>, StoreError> {
        let head = match self.queue.head(lane).await {
            Ok(head) => head,
            Err(error) => return Ok(Err(error)),
        };
        // Ignores an error: the depth is for a metric alone.
        if let Ok(depth) = self.queue.depth(lane).await {
            telemetry::depth_seen(lane, depth);
        }
        let missing = self.store.due(lane, head.map(|due_at| due_at - MARGIN), REFILL_PAGE).await?;
        if missing.is_empty() {
            return Ok(Ok(Refill::Complete { is_empty: head.is_none() }));
        }
        Ok(self.queue.push(&missing).await.map(|depth| Refill::Added { count: missing.len(), depth }))
    }

    /// Ends leases that ran out before the store last took a write, at `now`. A store that stood still since then ends
    /// none that ran out meanwhile, and the next probe sees the gap.
    async fn reclaim(&self, now: OffsetDateTime) -> Result<usize, StoreError> {
        let mut total = 0;
        // Bounded, so that the next pages wait for the next pass and its proof that the store takes writes.
        for _ in 0..MAX_RECLAIM_STEPS {
            let page = self.store.reclaim(now, RECLAIM_PAGE, &self.options.policy).await?;
            page.iter().for_each(telemetry::reclaimed);
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
            *self.pruned.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(pruned)
    }
}
