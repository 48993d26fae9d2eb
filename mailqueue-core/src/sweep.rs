//! Putting right what crashes, outages and time have left behind.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::contracts::controls::{Controls, HistoryRetention};
use crate::contracts::queue::{Entry, Queue, QueueError};
use crate::contracts::store::{DueRange, MessageStore, Probe, Pruned, Retention, StoreError};
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
    /// The lanes whose queue was asked and empty, and of which nothing was due; in the order of [`Lane::ALL`].
    pub whole: [bool; Lane::ALL.len()],
    /// Leases that had run out.
    pub reclaimed: usize,
    /// The pruned messages.
    pub pruned: Pruned,
}

/// Makes passes. Any number of workers may sweep the same store at once.
pub struct Sweeper {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    controls: Option<Arc<dyn Controls>>,
    options: SweepOptions,
    health: Arc<Health>,
    /// The time of the last pruning.
    pruned: Mutex<Option<Instant>>,
    /// Lanes whose last refill was a full page: there is more behind it, which the head does not show.
    behind: Mutex<HashSet<Lane>>,
}

/// The first due time in each lane of the queue.
type Heads = [(Lane, Option<OffsetDateTime>); Lane::ALL.len()];

/// What a refill found and did.
struct Refill {
    /// The entries that were put back.
    added: usize,
    /// The lanes of which nothing was missing.
    whole: [bool; Lane::ALL.len()],
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
        Self {
            store,
            queue,
            controls: None,
            options,
            health,
            pruned: Mutex::default(),
            behind: Mutex::default(),
        }
    }

    /// The same, which prunes the history of `controls` as well.
    #[must_use]
    pub fn with_controls(self, controls: Arc<dyn Controls>) -> Self {
        Self { controls: Some(controls), ..self }
    }

    /// One pass: refill, reclaim, and every minute prune. Each step is taken whatever became of the others.
    ///
    /// # Errors
    ///
    /// The first [`StoreError`] of the steps; nothing is begun while the store takes no writes. A queue that does not
    /// answer is no error: it is filled later.
    pub async fn pass(&self) -> Result<Swept, StoreError> {
        // Writes first: nothing else is begun without proof that the store takes writes.
        let Probe { now, has_lapsed_lease, .. } = self.health.probe().await?;
        let refill = self.refill(now).await;
        let may_reclaim = has_lapsed_lease && self.health.is_settled();
        let reclaim = if may_reclaim { self.reclaim(now).await } else { Ok(0) };
        let prune = if self.is_time_to_prune() { self.prune().await } else { Ok(Pruned::default()) };
        // Errors are returned only here, so that a step that fails keeps no other from its work.
        let Refill { added, whole } = refill?;
        telemetry::refilled(added);
        let backlog = !self.behind().is_empty();
        Ok(Swept { refilled: added, backlog, whole, reclaimed: reclaim?, pruned: prune? })
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
    async fn refill(&self, now: OffsetDateTime) -> Result<Refill, StoreError> {
        let heads = match self.heads().await {
            Ok(heads) => heads,
            // Workers ask the store themselves while the queue is out of reach.
            Err(error) => {
                tracing::debug!(event = "sweep.refill_failed", %error, "not refilled");
                // Counts no messages (0): the metric needs only the age of the oldest one.
                telemetry::backlog_counted(&self.store.backlog(0).await?);
                return Ok(Refill { added: 0, whole: [false; Lane::ALL.len()] });
            }
        };
        let ranges = heads.map(|(lane, head)| DueRange {
            lane,
            before: head.map(|due_at| due_at - MARGIN),
            limit: REFILL_PAGE,
        });
        let missing = self.store.due(&ranges).await?;
        let first_due =
            missing.iter().map(|entry| entry.due_at).chain(heads.iter().filter_map(|(_, head)| *head));
        telemetry::oldest_due(first_due.min(), now);
        let mut added = 0;
        for (lane, head) in heads {
            let missing: Vec<Entry> = missing.iter().filter(|entry| entry.lane == lane).copied().collect();
            match self.refill_lane(lane, head, &missing).await {
                Ok(()) => added += missing.len(),
                Err(error) => {
                    tracing::debug!(event = "sweep.refill_failed", %error, lane = lane.as_str(), "not refilled");
                    // Skips the other lanes too: they are in the same queue, and each would wait for the same fault.
                    break;
                }
            }
        }
        // A queue that holds something tells nothing of what lies behind that.
        let behind = self.behind();
        let whole = heads.map(|(lane, head)| {
            head.is_none() && !behind.contains(&lane) && missing.iter().all(|entry| entry.lane != lane)
        });
        Ok(Refill { added, whole })
    }

    async fn heads(&self) -> Result<Heads, QueueError> {
        let mut heads = Lane::ALL.map(|lane| (lane, None));
        for (lane, head) in &mut heads {
            *head = self.queue.head(*lane).await?;
            // Without a head there is nothing to count. Ignores an error: the depth is for a metric alone.
            let depth = if head.is_some() { self.queue.depth(*lane).await } else { Ok(0) };
            if let Ok(depth) = depth {
                telemetry::depth_seen(*lane, depth);
            }
        }
        Ok(heads)
    }

    /// Puts back what is missing from a lane, and notes whether there is more behind it.
    async fn refill_lane(
        &self,
        lane: Lane,
        head: Option<OffsetDateTime>,
        missing: &[Entry],
    ) -> Result<(), QueueError> {
        if missing.is_empty() {
            // A head changes nothing: what lies behind it may still be missing, and it does not show that.
            if head.is_none() {
                self.behind().remove(&lane);
            }
            return Ok(());
        }
        let depth = self.queue.push(missing).await?;
        // A full page has more behind it, but a queue that is long enough can wait for the next pass.
        if missing.len() == REFILL_PAGE && depth < AMPLE_DEPTH {
            self.behind().insert(lane);
        } else {
            self.behind().remove(&lane);
        }
        Ok(())
    }

    fn behind(&self) -> MutexGuard<'_, HashSet<Lane>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some(controls) = &self.controls {
            // Not an error of the pass: history decides nothing about a message.
            if let Err(error) = controls.prune_history(&HistoryRetention::default()).await {
                tracing::debug!(%error, "history is not pruned");
            }
        }
        let pruned = self.store.prune(&self.options.retention, PRUNE_PAGE).await?;
        // A full page means there is more: the next pass goes on.
        if pruned.contents.max(pruned.records).max(pruned.keys) >= PRUNE_PAGE as u64 {
            *self.pruned.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(pruned)
    }
}
