//! Keeps the store's time and how much is waiting at hand.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::room::{Capacity, Room};
use crate::contracts::store::{Backlog, MessageStore};
use crate::domain::clock::Clock;
use crate::waiting;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(5);

/// How much longer than an answer takes it is not asked again, so that counting a long queue stays a small part of what
/// the store does.
const RESTS: u32 = 20;

/// How long it is not asked again however much somebody would like to know.
const PAUSE: Duration = Duration::from_millis(200);

/// How long it is left alone at most.
const LONGEST: Duration = Duration::from_secs(30);

/// How long the first answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the store said last.
pub(super) struct Watch {
    seen: Arc<Seen>,
    _asking: AbortOnDropHandle<()>,
}

struct Seen {
    clock: Clock,
    backlog: RwLock<Option<Backlog>>,
    room: Arc<Room>,
}

impl Watch {
    /// Asks once, then every few seconds, and sooner where room is short, until it is dropped.
    pub(super) async fn start(store: Arc<dyn MessageStore>, capacity: Capacity) -> Self {
        let room = Arc::new(Room::new(capacity));
        let seen = Arc::new(Seen { clock: Clock::new(), backlog: RwLock::default(), room });
        // A first answer that does not come in time is no fault: the loop asks again.
        let _ = tokio::time::timeout(PATIENCE, seen.ask(&*store)).await;
        let asking = Arc::clone(&seen);
        let asking = tokio::spawn(async move {
            let mut took = Duration::ZERO;
            loop {
                tokio::time::sleep((took * RESTS).clamp(PAUSE, LONGEST)).await;
                // Whoever would like to know sooner ends the wait; it ending by itself is the rule.
                let _ = tokio::time::timeout(EVERY.saturating_sub(PAUSE), asking.room.wanted()).await;
                let asked = Instant::now();
                let answered = asking.ask(&*store).await;
                took = if answered { asked.elapsed() } else { Duration::ZERO };
            }
        });
        Self { seen, _asking: AbortOnDropHandle::new(asking) }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.seen.clock
    }

    pub(super) fn room(&self) -> &Arc<Room> {
        &self.seen.room
    }

    pub(super) fn backlog(&self) -> Option<Backlog> {
        *self.seen.backlog.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether there was an answer.
    async fn ask(&self, store: &dyn MessageStore) -> bool {
        let asked = Instant::now();
        let Ok(told) = store.backlog(self.room.ask()).await else { return false };
        self.room.hear(&told);
        self.clock.set(told.now, asked);
        *self.backlog.write().unwrap_or_else(PoisonError::into_inner) = Some(told);
        waiting::show(&told);
        true
    }
}
