//! What a supervisor asks.

use std::time::Duration;

use hyper::StatusCode;
use mailqueue_core::{MessageId, Outbox};

use crate::answer::{self, Answer};
use crate::problem::Problem;

/// How long the store may take to count as there.
const PATIENCE: Duration = Duration::from_secs(1);

/// An id that no message has.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// `GET /livez`: the process runs, whatever else does not.
pub(crate) fn live() -> Answer {
    answer::text(StatusCode::OK, "ok\n")
}

/// `GET /readyz`: mail can be taken in.
pub(crate) async fn ready(outbox: &Outbox) -> Result<Answer, Problem> {
    let id: MessageId = NOBODY.parse().expect("a constant, and a UUID");
    match tokio::time::timeout(PATIENCE, outbox.get(id)).await {
        Ok(Ok(_)) => Ok(answer::text(StatusCode::OK, "ok\n")),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable("store: the message store is out of reach"))
        }
        Err(_) => {
            tracing::warn!("not ready: the message store did not answer in time");
            Err(Problem::unavailable("store: the message store did not answer within a second"))
        }
    }
}
