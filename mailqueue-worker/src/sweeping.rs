//! The sweeper's timer.

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::contracts::store::Pruned;
use mailqueue_core::sweep::{Sweeper, Swept};
use tokio_util::sync::CancellationToken;

use crate::queue_check::QueueCheck;

/// Sweeps every `interval` until `shutdown`; ten times as often while there is more to refill than one pass does.
/// `queue_check` learns of each pass.
pub(crate) async fn run(
    sweeper: Sweeper,
    interval: Duration,
    queue_check: Arc<QueueCheck>,
    shutdown: CancellationToken,
) {
    let mut store_answers = true;
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            // Between passes only: a pass that has begun comes to its end.
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = interval;
        let swept = sweeper.pass().await;
        queue_check.note(swept.as_ref().ok());
        match swept {
            Ok(swept) => {
                if !store_answers {
                    tracing::info!(event = "store.recovered", "the message store answers again");
                }
                store_answers = true;
                log(&swept);
                if swept.backlog {
                    wait = interval / 10;
                }
            }
            Err(error) => {
                // Logged once an outage, not once a pass.
                if store_answers {
                    tracing::warn!(event = "sweep.failed", %error, "the sweep has to wait");
                }
                store_answers = false;
            }
        }
    }
}

/// Logs the work of a pass, if any. Pruned mail is gone for good, so that line is at a higher level.
fn log(swept: &Swept) {
    let Swept { refilled, reclaimed, pruned, backlog, .. } = *swept;
    if refilled + reclaimed > 0 {
        tracing::debug!(event = "sweep.finished", refilled, backlog, reclaimed, "swept");
    }
    if pruned != Pruned::default() {
        tracing::info!(event = "sweep.pruned", pruned.contents, pruned.records, pruned.keys, "pruned");
    }
}
