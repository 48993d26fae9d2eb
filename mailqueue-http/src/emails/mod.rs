//! The JSON API: messages in and out in the shape of Resend's.

mod alternative;
mod amend;
mod attachments;
mod batch;
mod query;
mod shape;
mod submit;
mod told;
mod underway;

use hyper::StatusCode;
use mailqueue_core::domain::record::Record;
use mailqueue_core::{MessageId, Outbox};
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::app::{App, in_time};
use crate::aside::aside;
use crate::problem::Problem;
use crate::request::Request;
use told::Told;

pub(crate) use amend::{cancel, reschedule, retry};
pub(crate) use attachments::{attachment, attachments, content};
pub(crate) use batch::submit_batch;
pub(crate) use query::parse_id;
pub(crate) use submit::{check_size, submit};
pub(crate) use underway::Underway;

/// What a list is answered with.
#[derive(Serialize)]
struct List<T> {
    object: &'static str,
    has_more: bool,
    data: Vec<T>,
}

impl<T> List<T> {
    fn new(has_more: bool, data: Vec<T>) -> Self {
        Self { object: "list", has_more, data }
    }
}

/// `GET /emails/{id}`
pub(crate) async fn get(app: &App, request: &Request) -> Result<Answer, Problem> {
    let outbox = app.outbox_of(request)?;
    let (record, now) = (find(&outbox, asked(request)?).await?, outbox.clock().now());
    let octets = [&record.text, &record.html].into_iter().flatten().map(String::len).sum();
    aside(octets, move || answer::json(StatusCode::OK, &Told::whole(&record, now))).await
}

/// `GET /emails`
pub(crate) async fn list(app: &App, request: &Request) -> Result<Answer, Problem> {
    let outbox = app.outbox_of(request)?;
    let filter = query::filter(request.query())?;
    let page = in_time(outbox.list(filter)).await??;
    let now = outbox.clock().now();
    let told = page.records.iter().map(|listed| match listed {
        Ok(record) => Told::brief(record, now),
        Err((outline, fault)) => Told::outline(outline, fault),
    });
    let data = told.collect();
    Ok(answer::json(StatusCode::OK, &List::new(page.has_more, data)))
}

/// The message that an address names.
fn asked(request: &Request) -> Result<MessageId, Problem> {
    parse_id(&request.id).ok_or_else(|| Problem::field("/id", "must be the id of a message"))
}

/// A message, or 404.
pub(crate) async fn find(outbox: &Outbox, id: MessageId) -> Result<Record, Problem> {
    let record = in_time(outbox.get(id)).await??;
    record.ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("There is no message with this id.")
}
