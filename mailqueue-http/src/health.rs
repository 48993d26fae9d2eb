//! What a supervisor asks.

use hyper::StatusCode;
use mailqueue_core::Outbox;
use mailqueue_core::health::Unready;

use crate::answer::{self, Answer};
use crate::problem::Problem;

/// `GET /livez`: the process runs, whatever else does not.
pub(crate) fn live() -> Answer {
    answer::text(StatusCode::OK, "ok\n")
}

/// `GET /readyz`: mail can be taken in. Known by a write, so a store that only answers reads is not ready.
pub(crate) async fn ready(outbox: &Outbox) -> Result<Answer, Problem> {
    let Err(unready) = outbox.health().check().await else {
        return Ok(answer::text(StatusCode::OK, "ok\n"));
    };
    tracing::warn!(reason = %unready, "not ready");
    Err(Problem::unavailable(match unready {
        Unready::Store(_) => "store: the message store takes no writes",
        Unready::NoSpace => "store: the message store has no space for new messages",
        Unready::Late => "store: the message store did not answer within a second",
    }))
}

/// `GET /metrics`
pub(crate) fn metrics(rendered: String) -> Answer {
    answer::of(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", rendered)
}
