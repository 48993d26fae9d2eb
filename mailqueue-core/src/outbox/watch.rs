//! Keeps the store's time and how much is waiting at hand.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use crate::contracts::store::{MessageStore, Statistics};
use crate::domain::clock::Clock;
use crate::waiting;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(5);

/// How long the first answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the store said last.
pub(super) struct Watch {
    seen: Arc<Seen>,
    _asking: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    clock: Clock,
    statistics: RwLock<Option<Statistics>>,
}

impl Watch {
    /// Asks once, then every few seconds until it is dropped.
    pub(super) async fn start(store: Arc<dyn MessageStore>) -> Self {
        let seen = Arc::new(Seen::default());
        // A first answer that does not come in time is no fault: the loop asks again.
        let _ = tokio::time::timeout(PATIENCE, seen.ask(&*store)).await;
        let asking = Arc::clone(&seen);
        let asking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                asking.ask(&*store).await;
            }
        });
        Self { seen, _asking: AbortOnDropHandle::new(asking) }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.seen.clock
    }

    pub(super) fn statistics(&self) -> Option<Statistics> {
        *self.seen.statistics.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    async fn ask(&self, store: &dyn MessageStore) {
        let asked = Instant::now();
        let Ok(told) = store.statistics().await else { return };
        self.clock.set(told.now, asked);
        *self.statistics.write().unwrap_or_else(PoisonError::into_inner) = Some(told);
        waiting::show(&told);
    }
}
