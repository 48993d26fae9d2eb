//! The answers to a supervisor: `/livez`, `/readyz` and `/metrics` of both binaries.

use mailqueue_core::health::{Health, Unready};

/// The media type of health.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// The media type of metrics: Prometheus' text format.
pub const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The body of an answer that says yes.
pub const OK: &str = "ok\n";

/// Ends well if mail can be taken in and worked off: the store takes writes and has space.
///
/// # Errors
///
/// A sentence that tells nothing of the database; the log says more.
pub async fn ready(health: &Health) -> Result<(), &'static str> {
    health.check().await.map_err(|unready| {
        tracing::warn!(event = "process.not_ready", reason = %unready, "not ready");
        match unready {
            Unready::Store(_) => "the message store takes no writes",
            Unready::NoSpace => "the message store has no space for new messages",
            Unready::Late => "the message store did not answer within a second",
        }
    })
}
