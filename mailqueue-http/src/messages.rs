//! What became of messages, for people.

use mailqueue_core::contracts::store::Filter;

use crate::answer::Answer;
use crate::app::{App, in_time};
use crate::emails::{find, parse_id};
use crate::problem::Problem;
use crate::request::Request;

/// How many messages the page lists.
const RECENT: usize = 50;

fn unknown() -> Problem {
    Problem::not_found("There is no message with this id.")
}

/// `GET /messages`: only where the page may show what is in them.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Answer, Problem> {
    if !app.shows_content(request) {
        return Err(Problem::not_found("The list of messages is not shown here."));
    }
    let page = in_time(app.open_outbox().list(Filter { limit: RECENT, ..Filter::default() })).await??;
    Ok(app.pages().messages(request, &page.records))
}

/// `GET /messages/{id}`: where it stands; what is in it, only where the page may show it.
pub(crate) async fn show(app: &App, request: &Request) -> Result<Answer, Problem> {
    let id = parse_id(&request.id).ok_or_else(unknown)?;
    let outbox = app.open_outbox();
    let record = find(&outbox, id).await?;
    Ok(app.pages().message(request, &record, app.shows_content(request), outbox.clock().now()))
}
