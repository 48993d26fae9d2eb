//! Changing one's mind about a message.

use hyper::StatusCode;
use mailqueue_core::domain::schedule::Schedule;
use mailqueue_core::{ChangeError, MessageId, Status};
use serde::Serialize;

use super::find::{asked, unknown};
use super::{new_email, submit};
use crate::app::App;
use crate::wire::deadline::in_time;
use crate::wire::json::{self, Json, Members};
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// What a granted wish is answered with.
#[derive(Serialize)]
struct Amended {
    object: &'static str,
    id: String,
    status: Status,
}

/// `PATCH /emails/{id}`: a message that is still queued is sent at another time.
pub(crate) async fn reschedule(app: &App, request: &mut Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let id = asked(request)?;
    let at = submit::body(request, move |json| wanted(json, id)).await??;
    let status = in_time(outbox.reschedule(id, at)).await?;
    granted(id, status.map_err(|error| refusal(error, "moved to another time")))
}

/// `POST /emails/{id}/cancel`: a message that is still queued is not sent. Cancelling twice is as good as once.
pub(crate) async fn cancel(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let id = asked(request)?;
    let status = match in_time(outbox.cancel(id)).await? {
        Err(ChangeError::NotAllowed(Status::Cancelled)) => Ok(Status::Cancelled),
        status => status.map_err(|error| refusal(error, "cancelled")),
    };
    granted(id, status)
}

/// `POST /emails/{id}/retry`: a message that waits, failed or whose end is unknown is tried again now.
pub(crate) async fn retry(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let id = asked(request)?;
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
        let at = new_email::scheduled_at(&mut members);
        members.finish();
        at
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

fn refusal(error: ChangeError, what: &str) -> Problem {
    match error {
        ChangeError::NotFound => unknown(),
        ChangeError::NotAllowed(status) => {
            Problem::not_now(format!("A message that is {status} cannot be {what}."))
        }
        ChangeError::Invalid(invalid) => Problem::invalid(invalid.faults),
        ChangeError::Store(error) => error.into(),
    }
}
