//! The page of one message, and what a person can do with it.

use mailqueue_core::ChangeError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::login;
use super::messages::{Change, unknown_change};
use super::templates::PAGES;
use crate::api::change::refusal;
use crate::api::find::{EmailId, find, unknown};
use crate::api::query::parse_id;
use crate::app::App;
use crate::shown_content::ShownContent;
use crate::viewer::Viewer;
use crate::wire::deadline::in_time;
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// The fields of a change of a message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the schema is used")]
pub(super) struct MessageChange {
    /// `retry`, `cancel` or `reschedule`.
    change: String,
    /// The time to send it at, in UTC; with `reschedule` only.
    #[schema(example = "2027-12-31T23:59")]
    at: Option<String>,
}

/// Where a message stands
///
/// Form mail for whoever knows the address; its people and content for those who are logged in.
#[utoipa::path(
    get, path = "/messages/{id}", tag = "Page", operation_id = "show_message", params(EmailId),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html; charset=utf-8"),
        Refused<404>,
    ),
)]
pub(crate) async fn show(app: &App, request: &Request) -> Result<Response, Problem> {
    let id = parse_id(&request.id).ok_or_else(unknown)?;
    let viewer = app.viewer(request)?;
    let outbox = viewer.as_ref().map_or_else(|| app.open_outbox(), |viewer| viewer.outbox.clone());
    let (record, viewer) = match in_time(outbox.get(id)).await?? {
        Some(record) => (record, viewer),
        // Somebody else's form mail, which anybody may ask for by its address.
        None => (find(&app.open_outbox(), id).await?, None),
    };
    Ok(PAGES.message(request, &record, viewer.as_ref(), outbox.clock().now()))
}

/// Change what becomes of a message
#[utoipa::path(
    post, path = "/messages/{id}", tag = "Page", operation_id = "change_message", params(EmailId),
    request_body(content = MessageChange, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Done.", headers(("Location" = String, description = "The message's page."))),
        Refused<403>, Refused<404>, Refused<409>, Refused<422>,
    ),
)]
pub(crate) async fn change(app: &App, request: &mut Request) -> Result<Response, Problem> {
    request.only_own()?;
    let Some(viewer) = app.viewer(request)? else { return login::ask(request) };
    viewer.only_changing()?;
    let id = parse_id(&request.id).ok_or_else(unknown)?;
    let fields = request.form().await?;
    let word = fields.get("change").unwrap_or_default();
    let changed = match Change::of(word) {
        Some(change) => in_time(change.apply(&viewer, id)).await?,
        None if word == "reschedule" => {
            let at = moment(fields.get("at").unwrap_or_default())?;
            let moved = in_time(viewer.outbox.reschedule(id, at)).await?;
            moved.map(|status| viewer.log_change(id, "reschedule", status))
        }
        None => return Err(unknown_change()),
    };
    changed.map_err(|error: ChangeError| refusal(error, "changed like that"))?;
    Ok(response::see_other(&format!("{}/messages/{id}{}", request.base, request.lang_query())))
}

/// A time as a browser sends it, without a zone: in UTC.
fn moment(text: &str) -> Result<OffsetDateTime, Problem> {
    let with_seconds = if text.len() == "2027-12-31T23:59".len() { ":00Z" } else { "Z" };
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let fault = || Problem::field("/at", "must be a time such as 2027-12-31T23:59");
    parse(text).or_else(|| parse(&format!("{text}{with_seconds}"))).ok_or_else(fault)
}

/// The message of a request for its content.
///
/// # Errors
///
/// 404 where the viewer may not see it; the inner error is the way to the login.
pub(super) async fn content(
    app: &App,
    request: &Request,
) -> Result<Result<(mailqueue_core::domain::record::Record, Viewer), Response>, Problem> {
    let Some(viewer) = app.viewer(request)? else { return login::ask(request).map(Err) };
    if viewer.shown < ShownContent::Full {
        return Err(Problem::not_found("The content of messages is not shown here."));
    }
    let id = parse_id(&request.id).ok_or_else(unknown)?;
    let record = find(&viewer.outbox, id).await?;
    Ok(Ok((record, viewer)))
}
