//! The time that a call to the outbox may take.

use std::time::Duration;

use crate::wire::problem::Problem;

/// The longest time for any one call to the outbox.
const OUTBOX_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a call to the outbox.
///
/// # Errors
///
/// 503 when the call takes longer than 10 s. The call may still take effect then.
pub(crate) async fn in_time<T>(call: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(OUTBOX_TIMEOUT, call).await.map_err(|_| {
        tracing::warn!(
            event = "request.failed",
            "a request could not be served: the message store did not answer in time"
        );
        Problem::unavailable(
            "The message store did not answer in time. Please try again, with an Idempotency-Key to be sure.",
        )
    })
}
