//! Messages as programs read them.

use hyper::StatusCode;

use super::email_response::{EmailResponse, EmailSummary};
use super::find::{EmailId, find, message_id};
use super::query::{self, ListQuery};
use crate::app::App;
use crate::wire::deadline::in_time;
use crate::wire::offload::offload;
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// A page of messages, newest first.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct EmailList<'r> {
    /// Always `list`.
    object: &'static str,
    /// Whether more follow in the direction asked for, or may.
    has_more: bool,
    /// The id to go on from (`after`, or `before` where that was asked for) while more follow.
    #[schema(required = true, format = "uuid")]
    next: Option<String>,
    data: Vec<EmailSummary<'r>>,
}

/// Look a message up
#[utoipa::path(
    get, path = "/emails/{id}", tag = "Emails", operation_id = "get_email", security(("key" = [])),
    params(EmailId),
    responses(
        (status = 200, description = "The message and what became of it.", body = EmailResponse<'_>),
        Refused<404>, Refused<422>,
    ),
)]
pub(crate) async fn get(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let (record, now) = (find(&outbox, message_id(request)?).await?, outbox.clock().now());
    // Only the bodies can be so large that writing them holds up the runtime.
    let octets = [&record.text, &record.html].into_iter().flatten().map(String::len).sum();
    offload(octets, move || response::json(StatusCode::OK, &EmailResponse::of(&record, now))).await
}

/// List messages
///
/// Newest first. With `q`, `to` or `status` a page looks at a bounded number of messages, and can be short or empty
/// although `has_more` is true. `next` is where to go on.
#[utoipa::path(
    get, path = "/emails", tag = "Emails", operation_id = "list_emails", security(("key" = [])),
    params(ListQuery),
    responses((status = 200, description = "A page.", body = EmailList<'_>), Refused<422>),
)]
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let filter = query::filter(request.query())?;
    let page = in_time(outbox.list(filter)).await??;
    let now = outbox.clock().now();
    let summaries = page.records.iter().map(|listed| match listed {
        Ok(record) => EmailSummary::of(record, now),
        Err((partial, fault)) => EmailSummary::partial(partial, fault),
    });
    let list = EmailList {
        object: "list",
        has_more: page.has_more,
        next: page.next.map(|id| id.to_string()),
        data: summaries.collect(),
    };
    Ok(response::json(StatusCode::OK, &list))
}
