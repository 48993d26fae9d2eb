//! Taking messages in, and what makes repeating that harmless.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use mailqueue_core::outbox::SubmitError;
use mailqueue_core::{Draft, IdempotencyKey, Outbox};
use serde::Serialize;
use utoipa::ToSchema;

use super::new_email::NewEmail;
use super::text_of_html;
use crate::access_log::Note;
use crate::app::App;
use crate::wire::json::{self, Json};
use crate::wire::parameter::{parameters, text};
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// What tells that a message is kept and will be sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    #[schema(format = "uuid")]
    pub(super) id: String,
}

/// The meaning of an idempotency key, for the document.
const REPEATING: &str = "Makes repeating harmless: 1 to 256 printable ASCII characters, remembered for 24 hours after \
                         acceptance or, if that is later, the scheduled time.";

parameters! {
    /// The header field that makes repeating harmless.
    KeyHeader { Header "Idempotency-Key", REPEATING, text(&[]); }
}

/// Send a message
///
/// When the answer is 200, the message is committed in the database and will be sent or told as failed.
#[utoipa::path(
    post, path = "/emails", tag = "Emails", operation_id = "send_email", security(("key" = [])),
    params(KeyHeader), request_body = NewEmail,
    responses(
        (status = 200, description = "It is kept.", body = Accepted, headers(
            ("Location" = String, description = "Where it can be looked up."),
            ("Idempotent-Replayed" = String, description = "`true` when it is the answer of the first time."),
        )),
        Refused<409>,
    ),
)]
pub(crate) async fn submit(app: &App, request: &mut Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let key = idempotency_key(request)?;
    let sender = app.sender().map(str::to_owned);
    let read = body(request, move |json| NewEmail::read(json, sender.as_deref())).await?;
    let (mut draft, scalars) = read.map_err(Problem::invalid)?;
    // Before the text is made, which costs far more.
    check_size(&draft, &outbox)?;
    text_of_html::add_texts(std::iter::once(&mut draft)).await;
    // After the body has come: a slow upload must not turn its repeats away.
    let in_flight = app.in_flight_keys().enter(&outbox, key.as_ref());
    let receipt = match in_flight.wait(outbox.submit_with_key(draft, key)).await? {
        Ok(receipt) => receipt,
        Err(SubmitError::Invalid(invalid)) => return Err(Problem::invalid(scalars.locate(invalid.faults))),
        Err(error) => return Err(error.into()),
    };
    let id = receipt.id.to_string();
    let location = format!("{}/emails/{id}", request.base);
    let accepted = Accepted { id };
    let mut response = response::json(StatusCode::OK, &accepted);
    response::locate(&mut response, &location);
    Note::accepted(&mut response, request.tenant(), [accepted.id.as_str()]);
    Ok(if receipt.replayed { replayed(response) } else { response })
}

/// The result of `then` on the JSON of a request.
pub(super) async fn body<T, F>(request: &mut Request, then: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce(Json<'_>) -> T + Send + 'static,
{
    // Before the body is read, so that a refusal costs no memory.
    if request.media_type()?.0 != "application/json" {
        return Err(Problem::unsupported("The body must be application/json."));
    }
    let read = json::read(request.payload.read().await?, then).await;
    request.payload.digested();
    read
}

/// Says that an answer is the one of the first time.
pub(super) fn replayed(mut response: Response) -> Response {
    let replayed = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(replayed, HeaderValue::from_static("true"));
    response
}

/// The key that makes repeating a request harmless.
pub(super) fn idempotency_key(request: &Request) -> Result<Option<IdempotencyKey>, Problem> {
    let key = request.single(HeaderName::from_static("idempotency-key"));
    let Some(key) = key.map_err(|_| Problem::idempotency_key())? else { return Ok(None) };
    let key = std::str::from_utf8(key).ok().and_then(|key| key.parse().ok());
    key.map(Some).ok_or_else(Problem::idempotency_key)
}

/// Refuses what is too large for a message; that is a matter of size, not of a field.
pub(crate) fn check_size(draft: &Draft, outbox: &Outbox) -> Result<(), Problem> {
    let most = outbox.limits().content;
    if draft.content_size() > most {
        let detail = format!("Text, html and attachments must be at most {most} octets long together.");
        return Err(Problem::too_large(detail));
    }
    Ok(())
}
