//! Notifies the queue of accepted messages in the background.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::contracts::queue::{Entry, Queue};
use crate::telemetry;

/// The most entries that wait for the queue. An entry that does not fit is left to the sweep.
const CHANNEL_CAPACITY: usize = 65_536;

/// The most entries that go to the queue in one call.
const MAX_BATCH: usize = 256;

/// Passes entries on to the queue in batches, so that no submitter ever waits for it.
#[derive(Clone)]
pub(super) struct QueueNotifier {
    entries: mpsc::Sender<Entry>,
}

impl QueueNotifier {
    /// Starts passing on; ends when the last clone is dropped and every entry has been passed on.
    pub(super) fn start(queue: Arc<dyn Queue>) -> Self {
        let (entries, received) = mpsc::channel(CHANNEL_CAPACITY);
        tokio::spawn(pass_on(queue, received));
        Self { entries }
    }

    /// Passes an entry on later. It is lost when the channel is full.
    pub(super) fn notify(&self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            telemetry::pushes_lost(1);
        }
    }
}

async fn pass_on(queue: Arc<dyn Queue>, mut received: mpsc::Receiver<Entry>) {
    let mut page = Vec::with_capacity(MAX_BATCH);
    while received.recv_many(&mut page, MAX_BATCH).await > 0 {
        if let Err(error) = queue.push(&page).await {
            telemetry::pushes_lost(page.len());
            // Not tried again, because the next sweep adds what is missing; the queue itself warns when it fails.
            tracing::debug!(event = "queue.not_told", %error, entries = page.len(), "the queue was not told");
        }
        page.clear();
    }
}
