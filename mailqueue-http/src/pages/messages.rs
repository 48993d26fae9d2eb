//! The list of messages, for people.

use mailqueue_core::{ChangeError, MessageId, Outbox};
use utoipa::ToSchema;

use super::list_query::{ChangedView, MAX_LISTED, Query};
use super::list_view::ListView;
use super::login;
use super::templates::PAGES;
use crate::api::query::parse_id;
use crate::app::App;
use crate::shown_content::ShownContent;
use crate::viewer::Viewer;
use crate::wire::deadline::in_time;
use crate::wire::parameter::{parameters, text, up_to, uuid};
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

parameters! {
    /// The query of the list.
    SearchQuery {
        Query "q", "A search: words of the subject, and qualifiers such as `status:failed`.", text(&[]);
        Query "after", "Those older than this message.", uuid();
        Query "limit", "50 when absent.", up_to(MAX_LISTED);
    }
}

/// The fields of a change of several messages.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the schema is used")]
pub(super) struct Selection {
    /// `retry` or `cancel`.
    change: String,
    /// A message; as many of these fields as there are messages.
    #[schema(format = "uuid")]
    id: String,
}

/// Messages, newest first
#[utoipa::path(
    get, path = "/messages", tag = "Page", operation_id = "show_messages", params(SearchQuery),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "Nobody is logged in; for browsers."),
        Refused<404>,
    ),
)]
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let Some(viewer) = app.viewer(request)? else { return login::ask(request) };
    let now = viewer.outbox.clock().now();
    let query = Query::read(request.query(), now);
    let Ok(search) = &query.search else { return Ok(PAGES.messages(request, &viewer, &query, None)) };
    // What may not be shown cannot be asked for either: the answer would tell it.
    if viewer.shown < ShownContent::Headers && query.asks_headers() {
        return Ok(PAGES.messages(request, &viewer, &query, None));
    }
    if let Some(id) = search.id {
        return Ok(response::see_other(&format!("{}/messages/{id}{}", request.base, request.lang_query())));
    }
    let found = in_time(viewer.outbox.search(search, query.after, query.limit)).await??;
    let is_full = found.records.len() >= query.limit;
    let list = ListView::of(&found, query.after.is_none(), is_full, viewer.shown, now);
    Ok(PAGES.messages(request, &viewer, &query, Some(list)))
}

/// Try messages again, or withdraw them
#[utoipa::path(
    post, path = "/messages", tag = "Page", operation_id = "change_messages",
    request_body(content = Selection, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "Done, as far as it was possible."), Refused<403>, Refused<404>),
)]
pub(crate) async fn change(app: &App, request: &mut Request) -> Result<Response, Problem> {
    request.only_own()?;
    let Some(viewer) = app.viewer(request)? else { return login::ask(request) };
    viewer.only_changing()?;
    let fields = request.form().await?;
    let change = fields.get("change").and_then(Change::of).ok_or_else(unknown_change)?;
    let ids: Option<Vec<MessageId>> = fields.all("id").map(parse_id).collect();
    let ids = ids.ok_or_else(|| Problem::field("/id", "must be the id of a message"))?;
    let mut changed = ChangedView::default();
    for id in ids.into_iter().take(MAX_LISTED) {
        match in_time(change.apply(&viewer, id)).await? {
            Ok(()) => changed.changed += 1,
            Err(ChangeError::Store(error)) => return Err(error.into()),
            Err(_) => changed.refused += 1,
        }
    }
    // What stands in a header field has to be ASCII without blanks; it ends with the sign for a further pair.
    let query =
        fields.get("query").filter(|query| query.bytes().all(|b| b.is_ascii_graphic())).unwrap_or_default();
    let ChangedView { changed, refused } = changed;
    let back = format!("{}/messages?{query}changed={changed}&refused={refused}", request.base);
    Ok(response::see_other(&back))
}

/// A change that a person can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Retry,
    Cancel,
}

impl Change {
    /// The change by its word.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "retry" => Some(Self::Retry),
            "cancel" => Some(Self::Cancel),
            _ => None,
        }
    }

    /// Makes the change, and logs who made it.
    pub(super) async fn apply(self, viewer: &Viewer, id: MessageId) -> Result<(), ChangeError> {
        let outbox: &Outbox = &viewer.outbox;
        let (word, changed) = match self {
            Self::Retry => ("retry", outbox.retry_now(id).await),
            Self::Cancel => ("cancel", outbox.cancel(id).await),
        };
        changed.map(|status| viewer.log_change(id, word, status))
    }
}

/// 422: no button has this word.
pub(super) fn unknown_change() -> Problem {
    Problem::field("/change", "must be retry, cancel or reschedule")
}
