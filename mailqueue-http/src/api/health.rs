//! Health and metrics, for supervisors.

use hyper::StatusCode;
use mailqueue_worker::service::supervision::{self, METRICS, OK};

use crate::app::App;
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// Whether the process runs
#[utoipa::path(
    get, path = "/livez", tag = "Operation", operation_id = "is_live",
    responses((status = 200, description = "It is.", body = String, content_type = "text/plain; charset=utf-8")),
)]
pub(crate) async fn live(_: &App, _: &Request) -> Result<Response, Problem> {
    Ok(response::text(StatusCode::OK, OK))
}

// A write shows it, so a store that only answers reads is not ready.
/// Whether mail can be taken in
#[utoipa::path(
    get, path = "/readyz", tag = "Operation", operation_id = "is_ready",
    responses((status = 200, description = "It is.", body = String, content_type = "text/plain; charset=utf-8")),
)]
pub(crate) async fn ready(app: &App, _: &Request) -> Result<Response, Problem> {
    let ready = supervision::ready(app.outbox().health()).await;
    ready.map_err(|reason| Problem::unavailable(format!("store: {reason}")))?;
    Ok(response::text(StatusCode::OK, OK))
}

// A proxy passes on all that stands under `/api`.
/// What was measured
///
/// Never under `/api`.
#[utoipa::path(
    get, path = "/metrics", tag = "Operation", operation_id = "metrics",
    responses(
        (
            status = 200, description = "Prometheus' text format.", body = String,
            content_type = "text/plain; charset=utf-8",
        ),
        Refused<404>,
    ),
)]
pub(crate) async fn metrics(app: &App, request: &Request) -> Result<Response, Problem> {
    let rendered = app.metrics().filter(|_| request.base.is_empty()).ok_or_else(Problem::no_such_address)?;
    Ok(response::of(StatusCode::OK, METRICS, rendered))
}
