//! Where a worker learns what is due.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mailqueue_core::contracts::queue::Pulled;
use mailqueue_core::domain::turns::{LaneTurns, Turn};
use mailqueue_core::{LaneWeights, MessageId, MessageStore, Queue, QueueError, StoreError};

use crate::room::ASIDE;

/// How long one pull waits for the queue to hold something.
const PULL_WAIT: Duration = Duration::from_secs(1);

/// How often the store is asked while the queue gives nothing and takes no waiting either: what is late is late by half
/// of that, and a worker with nothing to do asks some thirty times a second.
const POLL: Duration = Duration::from_millis(100);

/// Ids that are probably due, each lane's share of them: from the queue, or from the store itself while the queue is out
/// of reach, refuses, or holds nothing although something is due (a Redis that is full takes no entries).
pub(crate) struct Source {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    of_queue: LaneTurns,
    of_store: LaneTurns,
    /// The queue held nothing although something was due.
    is_behind: bool,
    poll: Duration,
}

/// Who is asked.
#[derive(Clone, Copy)]
enum Place {
    Queue,
    Store,
}

/// Why nothing was told.
enum Fault {
    Queue(QueueError),
    Store(StoreError),
}

impl Source {
    /// A source that asks the store at least every `interval` while the queue gives nothing.
    pub(crate) fn new(
        store: Arc<dyn MessageStore>,
        queue: Arc<dyn Queue>,
        weights: LaneWeights,
        interval: Duration,
    ) -> Self {
        let (of_queue, of_store) = (LaneTurns::new(weights), LaneTurns::new(weights));
        Self { store, queue, of_queue, of_store, is_behind: false, poll: interval.min(POLL) }
    }

    /// At most `most` ids; none when nothing was due for a while.
    ///
    /// # Errors
    ///
    /// That of the store, if it was asked.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Vec<MessageId>, StoreError> {
        let wait = if self.is_behind { Duration::ZERO } else { PULL_WAIT };
        let pulled = self.take(Place::Queue, most, wait).await;
        self.is_behind = false;
        let fault = match pulled {
            Ok(ids) if !ids.is_empty() => return Ok(ids),
            pulled => pulled.err(),
        };
        match self.take(Place::Store, most, Duration::ZERO).await {
            Ok(ids) => {
                self.is_behind = !ids.is_empty();
                if let Some(Fault::Queue(error)) = fault
                    && ids.is_empty()
                {
                    tracing::debug!(%error, "nothing to pull from, and nothing due");
                    tokio::time::sleep(self.poll).await;
                }
                Ok(ids)
            }
            Err(Fault::Store(error)) => Err(error),
            Err(Fault::Queue(_)) => Ok(Vec::new()),
        }
    }

    /// Takes turns, side by side. Lanes that were thought to hold something and do not are passed over; only when none
    /// is left is anything waited for.
    async fn take(&mut self, place: Place, most: usize, wait: Duration) -> Result<Vec<MessageId>, Fault> {
        loop {
            let turns = self.turns(place);
            let (idle, plan) = (turns.is_idle(), turns.plan(most));
            let wait = if idle { wait } else { Duration::ZERO };
            let told = join_all(plan.iter().map(|turn| self.ask(place, turn, wait))).await;
            let (mut ids, mut fault) = (Vec::new(), None);
            for (turn, told) in plan.iter().zip(told) {
                match told {
                    Ok(pulled) => {
                        self.turns(place).served(turn, pulled.lane, pulled.ids.len());
                        ids.extend(pulled.ids);
                    }
                    Err(error) => fault = Some(error),
                }
            }
            match fault {
                Some(fault) if ids.is_empty() => return Err(fault),
                _ if idle || !ids.is_empty() => return Ok(ids),
                _ => {}
            }
        }
    }

    fn turns(&mut self, place: Place) -> &mut LaneTurns {
        match place {
            Place::Queue => &mut self.of_queue,
            Place::Store => &mut self.of_store,
        }
    }

    async fn ask(&self, place: Place, turn: &Turn, wait: Duration) -> Result<Pulled, Fault> {
        match place {
            Place::Queue => self.queue.pull(&turn.lanes, turn.most, wait).await.map_err(Fault::Queue),
            Place::Store => self.due(turn).await.map_err(Fault::Store),
        }
    }

    /// What the store says is due. Several workers, and turns side by side, read the same page, so each takes a random part
    /// of a larger one.
    async fn due(&self, turn: &Turn) -> Result<Pulled, StoreError> {
        for lane in &turn.lanes {
            let mut page = self.store.due(*lane, None, turn.most * 4 + ASIDE).await?;
            if !page.is_empty() {
                fastrand::shuffle(&mut page);
                let ids = page.into_iter().take(turn.most).map(|entry| entry.id).collect();
                return Ok(Pulled { lane: Some(*lane), ids });
            }
        }
        Ok(Pulled::default())
    }
}
