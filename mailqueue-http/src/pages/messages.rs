//! What became of messages, for people.

use mailqueue_core::contracts::store::Filter;

use super::page::PAGES;
use crate::api::{find, parse_id, unknown};
use crate::app::App;
use crate::wire::deadline::in_time;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::Response;

/// How many messages the page lists.
const MAX_LISTED: usize = 50;

/// `GET /messages`: only where the page may show what is in them.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    if !app.shows_content(request) {
        return Err(Problem::not_found("The list of messages is not shown here."));
    }
    let page = in_time(app.open_outbox().list(Filter { limit: MAX_LISTED, ..Filter::default() })).await??;
    Ok(PAGES.messages(request, &page.records))
}

/// `GET /messages/{id}`: where it stands; what is in it, only where the page may show it.
pub(crate) async fn show(app: &App, request: &Request) -> Result<Response, Problem> {
    let id = parse_id(&request.id).ok_or_else(unknown)?;
    let outbox = app.open_outbox();
    let record = find(&outbox, id).await?;
    Ok(PAGES.message(request, &record, app.shows_content(request), outbox.clock().now()))
}
