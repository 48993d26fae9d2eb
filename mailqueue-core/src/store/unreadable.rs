//! Log lines and metrics about rows that make no sense.

use std::time::Duration;

use crate::contracts::store::StoreError;
use crate::domain::id::MessageId;

/// How long such a row is left alone, so that it takes no room from others: a worker of another version may read it, or
/// somebody mends it.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// A column whose JSON cannot be read. It names the column and the place but nothing of the text, which is somebody's
/// address or subject: the parser's own words would quote it.
pub(super) fn json(column: &str, error: &serde_json::Error) -> StoreError {
    let (kind, at) = (error.classify(), error.column());
    StoreError::Unreadable(format!("{column}, octet {at}: {kind:?} error").into())
}

/// Reports that the database refuses to change a row; its neighbours were changed without it.
#[cfg(feature = "postgres")]
pub(super) fn tell_refused(operation: &'static str, reason: &str) {
    metrics::counter!("mailqueue_refused_rows_total", "operation" => operation).increment(1);
    tracing::error!(operation, reason, "the database refuses to change a message; its neighbours go on");
}

/// Says that the words of others could not be written down with a result, which counts all the same.
pub(super) fn tell_reduced(message_id: MessageId, refusal: &StoreError) {
    metrics::counter!("mailqueue_results_reduced_total").increment(1);
    tracing::error!(%message_id, error = %refusal, "a result was written down without the relay's words");
}

/// Names a row that was left out of what was done for its neighbours.
pub(super) fn tell(operation: &'static str, message_id: MessageId, error: &StoreError) {
    metrics::counter!("mailqueue_unreadable_messages_total", "operation" => operation).increment(1);
    tracing::error!(%message_id, operation, %error, "a message is left alone for a minute");
}
