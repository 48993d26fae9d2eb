//! A queue that does all that a queue is allowed to do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::contracts::queue::{Entry, Pulled, Queue, QueueError};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;

/// How often a [`LossyQueue`] misbehaves in each way, as probabilities from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// An entry that is pushed does not arrive.
    pub lost_on_push: f64,
    /// An id that is pulled is removed but not returned, as if the puller had died.
    pub lost_on_pull: f64,
    /// An id that is pulled comes again with a later pull.
    pub repeated: f64,
    /// An id that is pulled is held back and comes with a later pull.
    pub delayed: f64,
    /// The ids of a pull come in any order.
    pub shuffled: f64,
    /// A call empties the queue first, as if the server had been flushed.
    pub forgotten: f64,
    /// A call fails: half of them before anything was done, half after, as if the answer were lost.
    pub failed: f64,
}

impl Faults {
    /// No faults.
    pub const NONE: Self = Self {
        lost_on_push: 0.0,
        lost_on_pull: 0.0,
        repeated: 0.0,
        delayed: 0.0,
        shuffled: 0.0,
        forgotten: 0.0,
        failed: 0.0,
    };

    /// Every fault now and then: about one call in three is affected.
    pub const SOME: Self = Self {
        lost_on_push: 0.2,
        lost_on_pull: 0.2,
        repeated: 0.2,
        delayed: 0.1,
        shuffled: 0.5,
        forgotten: 0.02,
        failed: 0.05,
    };
}

/// Passes calls on to another queue and drops, repeats, reorders and forgets on the way.
///
/// With the same seed and the same sequence of calls the same things happen. It never makes up an id, and holds to
/// the order of lanes except for ids that it gives late, which it may count to another lane or to none.
#[derive(Debug)]
pub struct LossyQueue<Q> {
    inner: Q,
    faults: Faults,
    chance: Mutex<Chance>,
}

#[derive(Debug)]
struct Chance {
    rng: fastrand::Rng,
    /// Ids that come with a later pull.
    later: Vec<MessageId>,
}

#[derive(PartialEq)]
enum Fate {
    Spared,
    FailedBefore,
    FailedAfter,
}

impl<Q: Queue> LossyQueue<Q> {
    /// A lossy queue in front of `inner`.
    #[must_use]
    pub fn new(inner: Q, faults: Faults, seed: u64) -> Self {
        let chance = Mutex::new(Chance { rng: fastrand::Rng::with_seed(seed), later: Vec::new() });
        Self { inner, faults, chance }
    }

    /// The queue behind it, to look at what arrived.
    pub fn inner(&self) -> &Q {
        &self.inner
    }

    fn with_chance<T>(&self, decide: impl FnOnce(&mut Chance) -> T) -> T {
        decide(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decides how a call goes; empties the queue when it is to be forgotten.
    async fn begin(&self) -> Result<Fate, QueueError> {
        let (forgotten, fate) = self.with_chance(|chance| {
            let forgotten = chance.strikes(self.faults.forgotten);
            // Both are drawn in any case, so that a seed gives the same course whatever the probabilities.
            let fate = match (chance.strikes(self.faults.failed), chance.rng.bool()) {
                (false, _) => Fate::Spared,
                (true, true) => Fate::FailedBefore,
                (true, false) => Fate::FailedAfter,
            };
            (forgotten, fate)
        });
        if forgotten {
            while !self.inner.pull(&Lane::ALL, 1_000, Duration::ZERO).await?.ids.is_empty() {}
        }
        if fate == Fate::FailedBefore { Err(lost()) } else { Ok(fate) }
    }
}

impl Chance {
    fn strikes(&mut self, probability: f64) -> bool {
        self.rng.f64() < probability
    }

    /// The ids of a pull that are handed on. Those held back earlier come first.
    fn distort(&mut self, pulled: Vec<MessageId>, faults: &Faults) -> Vec<MessageId> {
        let mut given = std::mem::take(&mut self.later);
        for id in pulled {
            if self.strikes(faults.lost_on_pull) {
                continue;
            }
            let delayed = self.strikes(faults.delayed);
            if delayed || self.strikes(faults.repeated) {
                self.later.push(id);
            }
            if !delayed {
                given.push(id);
            }
        }
        if self.strikes(faults.shuffled) {
            self.rng.shuffle(&mut given);
        }
        given
    }
}

fn lost() -> QueueError {
    QueueError::Unavailable("the lossy queue lost this call on purpose".into())
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<Q: Queue> Queue for LossyQueue<Q> {
    async fn push(&self, entries: &[Entry]) -> Result<u64, QueueError> {
        let fate = self.begin().await?;
        let arrived: Vec<Entry> = self.with_chance(|chance| {
            entries.iter().filter(|_| !chance.strikes(self.faults.lost_on_push)).copied().collect()
        });
        let depth = self.inner.push(&arrived).await?;
        if fate == Fate::FailedAfter { Err(lost()) } else { Ok(depth) }
    }

    async fn pull(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Pulled, QueueError> {
        let fate = self.begin().await?;
        let held = self.with_chance(|chance| chance.later.len());
        // An id that is held back is there to be given, so nothing is waited for.
        let wait = if held > 0 { Duration::ZERO } else { wait };
        let pulled = self.inner.pull(lanes, most, wait).await?;
        if fate == Fate::FailedAfter {
            // The ids are gone with the answer, as on a broken connection.
            return Err(lost());
        }
        Ok(self.with_chance(|chance| {
            let mut given = chance.distort(pulled.ids, &self.faults);
            // No more than asked for; the rest waits for its turn.
            let rest = given.split_off(given.len().min(most.max(1)));
            chance.later.extend(rest);
            Pulled::new(pulled.lane, given)
        }))
    }

    async fn head(&self, lane: Lane) -> Result<Option<OffsetDateTime>, QueueError> {
        let fate = self.begin().await?;
        let head = self.inner.head(lane).await?;
        if fate == Fate::FailedAfter { Err(lost()) } else { Ok(head) }
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        let fate = self.begin().await?;
        let depth = self.inner.depth(lane).await?;
        if fate == Fate::FailedAfter { Err(lost()) } else { Ok(depth) }
    }
}
