//! Ending on a signal.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::logging;

/// Cancels `shutdown` at the first SIGTERM or SIGINT. At the second, or `grace` later, the process ends at once with
/// status 1: another worker takes unfinished mail up when its lease runs out.
///
/// # Errors
///
/// The operating system's, if it refuses the handlers.
pub fn end_on_signal(shutdown: CancellationToken, grace: Duration) -> std::io::Result<()> {
    // Before the task begins: a signal that comes meanwhile is kept.
    let mut signals =
        Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!(event = "process.ending", "ending; a second signal ends at once");
        shutdown.cancel();
        let reason = tokio::select! {
            () = signals.next() => "second signal",
            () = tokio::time::sleep(grace) => "grace period over",
        };
        tracing::warn!(event = "process.cut_off", reason, "ended before everything was drained");
        logging::finish();
        std::process::exit(1);
    });
    Ok(())
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
