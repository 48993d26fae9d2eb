//! Messages and their outcomes, for people.

use mailqueue_core::contracts::store::Filter;

use super::templates::PAGES;
use crate::api::find::{EmailId, find, unknown};
use crate::api::query::parse_id;
use crate::app::App;
use crate::wire::deadline::in_time;
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::Response;

/// The number of messages on the page.
const MAX_LISTED: usize = 50;

/// The newest messages
#[utoipa::path(
    get, path = "/messages", tag = "Page", operation_id = "show_messages",
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html; charset=utf-8"),
        Refused<404>,
    ),
)]
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    if !app.shows_content(request) {
        return Err(Problem::not_found("The list of messages is not shown here."));
    }
    let page = in_time(app.open_outbox().list(Filter { limit: MAX_LISTED, ..Filter::default() })).await??;
    Ok(PAGES.messages(request, &page.records))
}

/// Where a message stands
#[utoipa::path(
    get, path = "/messages/{id}", tag = "Page", operation_id = "show_message", params(EmailId),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html; charset=utf-8"),
        Refused<404>,
    ),
)]
pub(crate) async fn show(app: &App, request: &Request) -> Result<Response, Problem> {
    let id = parse_id(&request.id).ok_or_else(unknown)?;
    let outbox = app.open_outbox();
    let record = find(&outbox, id).await?;
    Ok(PAGES.message(request, &record, app.shows_content(request), outbox.clock().now()))
}
