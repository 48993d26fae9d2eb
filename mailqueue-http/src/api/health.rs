//! What a supervisor asks.

use hyper::StatusCode;
use mailqueue_core::health::Unready;

use crate::app::App;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// `GET /livez`: the process runs, whatever the state of its parts.
pub(crate) async fn live(_: &App, _: &Request) -> Result<Response, Problem> {
    Ok(response::text(StatusCode::OK, "ok\n"))
}

/// `GET /readyz`: mail can be taken in. A write shows it, so a store that only answers reads is not ready.
pub(crate) async fn ready(app: &App, _: &Request) -> Result<Response, Problem> {
    let Err(unready) = app.outbox().health().check().await else {
        return Ok(response::text(StatusCode::OK, "ok\n"));
    };
    tracing::warn!(reason = %unready, "not ready");
    Err(Problem::unavailable(match unready {
        Unready::Store(_) => "store: the message store takes no writes",
        Unready::NoSpace => "store: the message store has no space for new messages",
        Unready::Late => "store: the message store did not answer within a second",
    }))
}

/// `GET /metrics`: never under `/api`, which proxies pass on.
pub(crate) async fn metrics(app: &App, request: &Request) -> Result<Response, Problem> {
    let rendered = app.metrics().filter(|_| request.base.is_empty()).ok_or_else(Problem::no_such_address)?;
    Ok(response::of(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", rendered))
}
