//! Changes of a message that waits or has ended.

use hyper::StatusCode;
use mailqueue_core::domain::schedule::Schedule;
use mailqueue_core::{ChangeError, MessageId, Status};
use serde::Serialize;
use utoipa::ToSchema;

use super::find::{EmailId, message_id, unknown};
use super::{enum_schemas, submit};
use crate::app::App;
use crate::wire::deadline::in_time;
use crate::wire::json::{self, Json, Members};
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::request_body::{Object, request_body};
use crate::wire::response::{self, Response};

request_body! {
    /// Another time to send a message at.
    struct Reschedule {
        /// The id in the address, which some clients repeat.
        #[expect(dead_code, reason = "taken and compared before the others are read")]
        id: Option<String>,
        /// As in a new message.
        #[schema(value_type = String, example = "tomorrow at 9am")]
        scheduled_at: Option<Schedule>,
    }
}

/// The message and its status after a change.
#[derive(Serialize, ToSchema)]
pub(super) struct Amended {
    /// Always `email`.
    object: &'static str,
    #[schema(format = "uuid")]
    id: String,
    #[schema(value_type = enum_schemas::Status)]
    status: Status,
}

/// Send a queued message at another time
#[utoipa::path(
    patch, path = "/emails/{id}", tag = "Emails", operation_id = "reschedule_email", security(("key" = [])),
    params(EmailId), request_body = Reschedule,
    responses((status = 200, description = "It was moved.", body = Amended), Refused<404>, Refused<409>),
)]
pub(crate) async fn reschedule(app: &App, request: &mut Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let id = message_id(request)?;
    let at = submit::body(request, move |json| wanted(json, id)).await??;
    let status = in_time(outbox.reschedule(id, at)).await?;
    granted(id, status.map_err(|error| refusal(error, "moved to another time")))
}

/// Withdraw a queued message
///
/// Cancelling twice is as good as once. What is being sent or has come to its end cannot be cancelled.
#[utoipa::path(
    post, path = "/emails/{id}/cancel", tag = "Emails", operation_id = "cancel_email", security(("key" = [])),
    params(EmailId),
    responses(
        (status = 200, description = "It will not be sent.", body = Amended),
        Refused<404>, Refused<409>, Refused<422>,
    ),
)]
pub(crate) async fn cancel(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let id = message_id(request)?;
    let status = match in_time(outbox.cancel(id)).await? {
        // A client repeats a request whose answer was lost: the second one succeeds as well.
        Err(ChangeError::NotAllowed(Status::Cancelled)) => Ok(Status::Cancelled),
        status => status.map_err(|error| refusal(error, "cancelled")),
    };
    granted(id, status)
}

/// Try a message again now
///
/// For messages that are queued, failed or unknown and whose content is still kept.
#[utoipa::path(
    post, path = "/emails/{id}/retry", tag = "Emails", operation_id = "retry_email", security(("key" = [])),
    params(EmailId),
    responses(
        (status = 200, description = "It is tried again now.", body = Amended),
        Refused<404>, Refused<409>, Refused<422>,
    ),
)]
pub(crate) async fn retry(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let id = message_id(request)?;
    let status = in_time(outbox.retry_now(id)).await?;
    granted(id, status.map_err(|error| refusal(error, "tried again")))
}

/// The time that a body names. Resend's clients repeat the id in it.
fn wanted(json: Json<'_>, id: MessageId) -> Result<Schedule, Problem> {
    let mut faults = Vec::new();
    let at = Members::of(json, "", &mut faults).and_then(|mut members| {
        if members.text("id").is_some_and(|other| other != id.to_string()) {
            members.fault("id", "must be the id in the address");
        }
        let wanted = Reschedule::read(&mut members);
        members.finish();
        wanted.scheduled_at
    });
    if at.is_none() && faults.is_empty() {
        json::note(&mut faults, "/scheduled_at", "must be there");
    }
    at.filter(|_| faults.is_empty()).ok_or_else(|| Problem::invalid(faults))
}

fn granted(id: MessageId, status: Result<Status, Problem>) -> Result<Response, Problem> {
    let amended = Amended { object: "email", id: id.to_string(), status: status? };
    Ok(response::json(StatusCode::OK, &amended))
}

/// The problem for a change that was not made.
pub(crate) fn refusal(error: ChangeError, what: &str) -> Problem {
    match error {
        ChangeError::NotFound => unknown(),
        ChangeError::NotAllowed(status) => {
            Problem::not_now(format!("A message that is {status} cannot be {what}."))
        }
        ChangeError::Invalid(invalid) => Problem::invalid(invalid.faults),
        ChangeError::Store(error) => error.into(),
    }
}
