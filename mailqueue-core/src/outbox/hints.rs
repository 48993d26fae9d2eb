//! Telling the queue what was accepted, behind the submitter's back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::contracts::queue::{Entry, Queue};

/// How many entries wait for the queue at most. What does not fit is left to the sweep.
const ROOM: usize = 65_536;

/// How many entries go to the queue in one call.
const PAGE: usize = 256;

/// Passes entries on to the queue in batches, so that no submitter ever waits for it.
#[derive(Clone)]
pub(super) struct Hints {
    entries: mpsc::Sender<Entry>,
}

impl Hints {
    /// Starts passing on; ends when the last clone is dropped and everything given has been passed on.
    pub(super) fn start(queue: Arc<dyn Queue>) -> Self {
        let (entries, received) = mpsc::channel(ROOM);
        tokio::spawn(pass_on(queue, received));
        Self { entries }
    }

    /// Gives an entry, which is lost when there is no room.
    pub(super) fn give(&self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            metrics::counter!("mailqueue_pushes_lost_total").increment(1);
        }
    }
}

async fn pass_on(queue: Arc<dyn Queue>, mut received: mpsc::Receiver<Entry>) {
    let mut page = Vec::with_capacity(PAGE);
    let mut quiet_until = Instant::now();
    while received.recv_many(&mut page, PAGE).await > 0 {
        if let Err(error) = queue.push(&page).await {
            metrics::counter!("mailqueue_pushes_lost_total").increment(page.len() as u64);
            if Instant::now() >= quiet_until {
                quiet_until = Instant::now() + Duration::from_secs(1);
                tracing::warn!(%error, "the queue was not told; the next sweep will");
            }
        }
        page.clear();
    }
}
