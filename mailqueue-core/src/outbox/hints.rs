//! Telling the queue what was accepted, behind the submitter's back.

use std::sync::Arc;

use tokio::sync::mpsc;

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
    while received.recv_many(&mut page, PAGE).await > 0 {
        if let Err(error) = queue.push(&page).await {
            metrics::counter!("mailqueue_pushes_lost_total").increment(page.len() as u64);
            // The queue itself says when it begins to fail, and the next sweep tells it.
            tracing::debug!(%error, entries = page.len(), "the queue was not told");
        }
        page.clear();
    }
}
