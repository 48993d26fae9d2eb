//! The source of ids that are due.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mailqueue_core::contracts::queue::Pulled;
use mailqueue_core::contracts::store::DueRange;
use mailqueue_core::domain::round_robin::{LaneTurns, Turn};
use mailqueue_core::{LaneWeights, MessageId, MessageStore, Queue, QueueError, StoreError};

use crate::pausing::Pausing;
use crate::queue_check::QueueCheck;
use crate::slots::MAX_ASIDE;

/// The wait of one pull for an entry.
const PULL_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause between reads of the store while the queue gives nothing and does not wait either. Mail is late by half of
/// it on average.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Ids that are probably due, each lane's share of them: from the queue, or from the store itself while the queue is out
/// of reach, refuses, or holds nothing although something is due (a Redis that is full takes no entries).
pub(crate) struct Source {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    of_queue: LaneTurns,
    of_store: LaneTurns,
    queue_check: Arc<QueueCheck>,
    /// The queue held nothing although something was due.
    is_behind: bool,
    poll: Duration,
    pausing: Pausing,
}

/// The part that is asked.
#[derive(Clone, Copy)]
enum Origin {
    Queue,
    Store,
}

/// The error of the part that was asked.
enum OriginError {
    Queue(QueueError),
    Store(StoreError),
}

impl Source {
    /// A source that asks the store at least every `interval` while the queue gives nothing, unless `queue_check` says
    /// that nothing is missing from it. Of a lane that is paused it gives nothing.
    pub(crate) fn new(
        store: Arc<dyn MessageStore>,
        queue: Arc<dyn Queue>,
        weights: LaneWeights,
        queue_check: Arc<QueueCheck>,
        interval: Duration,
        pausing: Pausing,
    ) -> Self {
        let (of_queue, of_store) = (LaneTurns::new(weights), LaneTurns::new(weights));
        let poll = interval.min(POLL_INTERVAL);
        Self { store, queue, of_queue, of_store, queue_check, is_behind: false, poll, pausing }
    }

    /// At most `max` ids; none when nothing was due for a while.
    ///
    /// # Errors
    ///
    /// The store's error, if it was asked.
    pub(crate) async fn next(&mut self, max: usize) -> Result<Vec<MessageId>, StoreError> {
        // A queue that has just held nothing while mail was due is not waited for.
        let wait = if self.is_behind { Duration::ZERO } else { PULL_TIMEOUT };
        let pulled = self.pull(Origin::Queue, max, wait).await;
        self.is_behind = false;
        let fault = match pulled {
            Ok(ids) if !ids.is_empty() || self.queue_check.is_fresh(&self.pausing) => return Ok(ids),
            pulled => pulled.err(),
        };
        match self.pull(Origin::Store, max, Duration::ZERO).await {
            Ok(ids) => {
                self.is_behind = !ids.is_empty();
                if let Some(OriginError::Queue(error)) = fault
                    && ids.is_empty()
                {
                    tracing::debug!(event = "queue.pull_failed", %error, "nothing to pull from, and nothing due");
                    // A queue that is out of reach fails at once: without a pause this is a busy loop.
                    tokio::time::sleep(self.poll).await;
                }
                Ok(ids)
            }
            Err(OriginError::Store(error)) => Err(error),
            // Cannot happen: the store was asked.
            Err(OriginError::Queue(_)) => Ok(Vec::new()),
        }
    }

    /// True if a lane gave all that was asked of it last, so that it probably holds more.
    pub(crate) fn has_more(&self) -> bool {
        let turns = if self.is_behind { &self.of_store } else { &self.of_queue };
        !turns.is_idle()
    }

    /// Pulls one turn of each lane, side by side. Lanes that were thought to hold mail and do not are passed over; it waits
    /// only when none is left.
    async fn pull(
        &mut self,
        origin: Origin,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<MessageId>, OriginError> {
        loop {
            let turns = self.turns(origin);
            let (idle, plan) = (turns.is_idle(), turns.plan(max));
            let wait = if idle { wait } else { Duration::ZERO };
            let answers = join_all(plan.iter().map(|turn| self.ask(origin, turn, wait))).await;
            let (mut ids, mut fault) = (Vec::new(), None);
            for (turn, answer) in plan.iter().zip(answers) {
                match answer {
                    Ok(pulled) => {
                        self.turns(origin).served(turn, pulled.lane, pulled.ids.len());
                        // Asked again, as a pull may have waited. The ids are hints, and the sweep finds them again.
                        if !pulled.lane.is_some_and(|lane| self.pausing.has(lane)) {
                            ids.extend(pulled.ids);
                        }
                    }
                    Err(error) => fault = Some(error),
                }
            }
            match fault {
                // The error of one lane is dropped where another gave ids: it comes again if it lasts.
                Some(fault) if ids.is_empty() => return Err(fault),
                _ if idle || !ids.is_empty() => return Ok(ids),
                _ => {}
            }
        }
    }

    fn turns(&mut self, origin: Origin) -> &mut LaneTurns {
        match origin {
            Origin::Queue => &mut self.of_queue,
            Origin::Store => &mut self.of_store,
        }
    }

    async fn ask(&self, origin: Origin, turn: &Turn, wait: Duration) -> Result<Pulled, OriginError> {
        let turn = Turn { lanes: self.pausing.served(&turn.lanes), most: turn.most };
        match origin {
            _ if turn.lanes.is_empty() => Ok(Pulled::default()),
            Origin::Queue => self.queue.pull(&turn.lanes, turn.most, wait).await.map_err(OriginError::Queue),
            Origin::Store => self.due(&turn).await.map_err(OriginError::Store),
        }
    }

    /// Ids that are due by the store. Several workers, and turns side by side, read the same page, so each takes a random
    /// part of a larger one.
    async fn due(&self, turn: &Turn) -> Result<Pulled, StoreError> {
        // Four times the share, so that workers rarely meet, and those aside on top: the store names them again.
        let range = |&lane| DueRange { lane, before: None, limit: turn.most * 4 + MAX_ASIDE };
        let ranges: Vec<DueRange> = turn.lanes.iter().map(range).collect();
        let mut page = self.store.due(&ranges).await?;
        let lane = page.first().map(|entry| entry.lane);
        page.retain(|entry| Some(entry.lane) == lane);
        fastrand::shuffle(&mut page);
        Ok(Pulled { lane, ids: page.into_iter().take(turn.most).map(|entry| entry.id).collect() })
    }
}
