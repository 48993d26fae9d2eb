//! Several messages in one request.

use hyper::StatusCode;
use hyper::header::HeaderName;
use mailqueue_core::Draft;
use mailqueue_core::domain::validation::{FieldError, ValidationError};
use mailqueue_core::outbox::{Part, SubmitError};
use serde::Serialize;
use utoipa::ToSchema;

use super::new_email::{MAX_MESSAGES, NewBatch, NewEmail, ScalarFields};
use super::submit::{Accepted, KeyHeader, body, check_size, idempotency_key, replayed};
use super::text_of_html;
use crate::access_log::Note;
use crate::app::App;
use crate::wire::json::Json;
use crate::wire::parameter::{parameters, text};
use crate::wire::problem::{Fault, Problem, sentence};
use crate::wire::problem_schema;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// What became of a batch: the accepted messages in their order and, in permissive batches, the others.
#[derive(Serialize, ToSchema)]
pub(super) struct Batch {
    data: Vec<Accepted>,
    /// Only where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<Refused>>,
}

/// A message of a permissive batch that was not accepted.
#[derive(Serialize, ToSchema)]
struct Refused {
    /// Its place in the batch, from 0.
    #[schema(value_type = u32)]
    index: usize,
    message: String,
    /// Every fault, with pointers into the message.
    #[schema(value_type = Vec<Fault>)]
    errors: Vec<FieldError>,
}

parameters! {
    /// The header field for the mode of a batch.
    Validation { Header "x-batch-validation", "Strict when absent.", text(&["strict", "permissive"]); }
}

/// Send up to 100 messages
///
/// Strict: all or none. Permissive: those that are valid, the others told in `errors`.
#[utoipa::path(
    post, path = "/emails/batch", tag = "Emails", operation_id = "send_batch", security(("key" = [])),
    params(Validation, KeyHeader), request_body = inline(NewBatch),
    responses(
        (status = 200, description = "They are kept.", body = Batch, headers(
            ("Idempotent-Replayed" = String, description = "`true` when it is the answer of the first time."),
        )),
        problem_schema::Refused<409>,
    ),
)]
pub(crate) async fn submit_batch(app: &App, request: &mut Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let is_permissive = is_permissive(request)?;
    let key = idempotency_key(request)?;
    let sender = app.sender().map(str::to_owned);
    let mut parts = body(request, move |json| emails(json, sender.as_deref())).await??;
    text_of_html::add_texts(parts.iter_mut().flatten().map(|(draft, _)| draft)).await;
    let in_flight = app.in_flight_keys().enter(&outbox, key.as_ref());
    if is_permissive {
        let (parts, scalars) = permissive(parts);
        let results = in_flight.wait(outbox.submit_permissive(parts, key)).await??;
        return Ok(response_of(request.tenant(), results.into_iter().zip(scalars).collect()));
    }
    let (drafts, scalars) = strict(parts)?;
    drafts.iter().try_for_each(|draft| check_size(draft, &outbox))?;
    match in_flight.wait(outbox.submit_all(drafts, key)).await? {
        Ok(receipts) => {
            Ok(response_of(request.tenant(), receipts.into_iter().map(Ok).zip(scalars).collect()))
        }
        Err(SubmitError::Invalid(invalid)) => Err(Problem::invalid(locate(invalid, &scalars))),
        Err(error) => Err(error.into()),
    }
}

/// One message of a batch, or its faults of form.
type Read = Result<(Draft, ScalarFields), Vec<FieldError>>;

/// True for a batch whose valid messages are accepted even when others are not.
fn is_permissive(request: &Request) -> Result<bool, Problem> {
    match request.single(HeaderName::from_static("x-batch-validation"))? {
        None | Some(b"strict") => Ok(false),
        Some(b"permissive") => Ok(true),
        Some(_) => Err(Problem::malformed("x-batch-validation must be strict or permissive.")),
    }
}

/// The messages, or what is wrong with the form of each.
fn emails(json: Json<'_>, sender: Option<&str>) -> Result<Vec<Read>, Problem> {
    Ok(items(json)?.into_iter().map(|json| NewEmail::read(json, sender)).collect())
}

/// The messages, unread.
fn items(json: Json<'_>) -> Result<Vec<Json<'_>>, Problem> {
    let items = match json {
        Json::List(items) => items,
        // A list of numbers, none of which is a message.
        Json::Octets(octets) => octets.into_iter().map(|octet| Json::Number(Some(octet))).collect(),
        _ => return Err(Problem::field("", "must be a list of messages")),
    };
    if items.is_empty() || items.len() > MAX_MESSAGES {
        return Err(Problem::field("", format!("must be a list of 1 to {MAX_MESSAGES} messages")));
    }
    Ok(items)
}

/// The drafts, or every fault of form with the index of its message in front.
fn strict(parts: Vec<Read>) -> Result<(Vec<Draft>, Vec<ScalarFields>), Problem> {
    let (mut drafts, mut scalars, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (n, part) in parts.into_iter().enumerate() {
        match part {
            Ok((draft, written)) => {
                drafts.push(draft);
                scalars.push(written);
            }
            Err(found) => faults.extend(found.into_iter().map(|fault| fault.within(n))),
        }
    }
    if faults.is_empty() { Ok((drafts, scalars)) } else { Err(Problem::invalid(faults)) }
}

/// The faults of the drafts, with pointers into the request's body.
fn locate(invalid: ValidationError, scalars: &[ScalarFields]) -> Vec<FieldError> {
    // The outbox names no index where there is one draft.
    if let [scalars] = scalars {
        return scalars.locate(invalid.faults).into_iter().map(|fault| fault.within(0)).collect();
    }
    let located = invalid.faults.into_iter().map(|fault| {
        let rest = fault.pointer.trim_start_matches('/');
        let (index, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let Some((n, scalars)) = index.parse().ok().and_then(|n: usize| Some((n, scalars.get(n)?))) else {
            return fault;
        };
        let pointer = if rest.is_empty() { String::new() } else { format!("/{rest}") };
        scalars.locate_one(FieldError { pointer, ..fault }).within(n)
    });
    located.collect()
}

/// The parts as the outbox takes them.
fn permissive(parts: Vec<Read>) -> (Vec<Part>, Vec<ScalarFields>) {
    let read = parts.into_iter().map(|part| match part {
        Ok((draft, scalars)) => (Ok(draft), scalars),
        Err(faults) => (Err(ValidationError { faults }), ScalarFields::default()),
    });
    read.unzip()
}

fn response_of(
    tenant: &str,
    results: Vec<(Result<mailqueue_core::Receipt, ValidationError>, ScalarFields)>,
) -> Response {
    let mut batch = Batch { data: Vec::new(), errors: None };
    let mut is_replayed = false;
    for (index, (result, scalars)) in results.into_iter().enumerate() {
        match result {
            Ok(receipt) => {
                is_replayed |= receipt.replayed;
                batch.data.push(Accepted { id: receipt.id.to_string() });
            }
            Err(invalid) => {
                let errors = scalars.locate(invalid.faults);
                batch.errors.get_or_insert_default().push(Refused {
                    index,
                    message: sentence(&errors),
                    errors,
                });
            }
        }
    }
    let mut response = response::json(StatusCode::OK, &batch);
    if !batch.data.is_empty() {
        Note::accepted(&mut response, tenant, batch.data.iter().map(|accepted| accepted.id.as_str()));
    }
    if is_replayed { replayed(response) } else { response }
}
