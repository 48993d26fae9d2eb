//! The JSON API: messages in and out in the shape of Resend's.

mod query;
mod shape;
mod told;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use mailqueue_core::outbox::SubmitError;
use mailqueue_core::record::Record;
use mailqueue_core::{Draft, MessageId, Outbox};
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::app::{App, in_time};
use crate::json::Json;
use crate::problem::Problem;
use crate::request::Request;
use shape::Shaped;
use told::Told;

pub(crate) use query::parse_id;

/// `POST /emails`
pub(crate) async fn submit(app: &App, request: &mut Request) -> Result<Answer, Problem> {
    let outbox = app.outbox_of(request)?;
    if request.media_type()?.0 != "application/json" {
        return Err(Problem::unsupported("The body must be application/json."));
    }
    let key = idempotency_key(request)?;
    let json = Json::read(request.payload.read().await?).await?;
    let Shaped { mut draft, singles } = Shaped::read(json, app.sender()).map_err(Problem::invalid)?;
    check_size(&draft, &outbox)?;
    draft.idempotency_key = key;
    let receipt = match in_time(outbox.submit(draft)).await? {
        Ok(receipt) => receipt,
        Err(SubmitError::Invalid(invalid)) => return Err(Problem::invalid(singles.locate(invalid.faults))),
        Err(error) => return Err(error.into()),
    };
    #[derive(Serialize)]
    struct Receipt {
        id: String,
    }
    let id = receipt.id.to_string();
    let mut answer = answer::json(StatusCode::OK, &Receipt { id: id.clone() });
    answer::locate(&mut answer, &format!("{}/emails/{id}", request.base));
    if receipt.replayed {
        let replayed = HeaderName::from_static("idempotent-replayed");
        answer.headers_mut().insert(replayed, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// `GET /emails/{id}`
pub(crate) async fn get(app: &App, request: &Request) -> Result<Answer, Problem> {
    let outbox = app.outbox_of(request)?;
    let id = parse_id(&request.id).ok_or_else(|| Problem::field("/id", "must be the id of a message"))?;
    let record = find(&outbox, id).await?;
    Ok(answer::json(StatusCode::OK, &Told::whole(&record)))
}

/// `GET /emails`
pub(crate) async fn list(app: &App, request: &Request) -> Result<Answer, Problem> {
    let outbox = app.outbox_of(request)?;
    let filter = query::filter(request.query())?;
    let page = in_time(outbox.list(filter)).await??;
    #[derive(Serialize)]
    struct List<'r> {
        object: &'static str,
        has_more: bool,
        data: Vec<Told<'r>>,
    }
    let data = page.records.iter().map(Told::brief).collect();
    Ok(answer::json(StatusCode::OK, &List { object: "list", has_more: page.has_more, data }))
}

/// A message, or 404.
pub(crate) async fn find(outbox: &Outbox, id: MessageId) -> Result<Record, Problem> {
    let record = in_time(outbox.get(id)).await??;
    record.ok_or_else(|| Problem::not_found("There is no message with this id."))
}

/// The key that makes repeating a request harmless.
fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let key = request.single(HeaderName::from_static("idempotency-key"));
    let Some(key) = key.map_err(|_| Problem::idempotency_key())? else { return Ok(None) };
    let allowed = |b: &u8| b.is_ascii_graphic() || *b == b' ';
    let fine = (1..=256).contains(&key.len()) && key.iter().all(allowed);
    let key = String::from_utf8(key.to_vec()).ok().filter(|_| fine);
    key.map(Some).ok_or_else(Problem::idempotency_key)
}

/// Refuses what is too large for a message; that is a matter of size, not of a field.
pub(crate) fn check_size(draft: &Draft, outbox: &Outbox) -> Result<(), Problem> {
    let files: usize = draft.attachments.iter().map(|file| file.content.len()).sum();
    let bodies: usize = [&draft.text, &draft.html].into_iter().flatten().map(String::len).sum();
    let most = outbox.limits().content;
    if files + bodies > most {
        let detail = format!("Text, html and attachments must be at most {most} octets long together.");
        return Err(Problem::too_large(detail));
    }
    Ok(())
}
