//! Messages as programs read them.

use hyper::StatusCode;

use super::email_response::EmailResponse;
use super::find::{asked, find};
use super::list::List;
use super::query;
use crate::app::App;
use crate::wire::deadline::in_time;
use crate::wire::offload::aside;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// `GET /emails/{id}`
pub(crate) async fn get(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let (record, now) = (find(&outbox, asked(request)?).await?, outbox.clock().now());
    let octets = [&record.text, &record.html].into_iter().flatten().map(String::len).sum();
    aside(octets, move || response::json(StatusCode::OK, &EmailResponse::whole(&record, now))).await
}

/// `GET /emails`
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let filter = query::filter(request.query())?;
    let page = in_time(outbox.list(filter)).await??;
    let now = outbox.clock().now();
    let told = page.records.iter().map(|listed| match listed {
        Ok(record) => EmailResponse::brief(record, now),
        Err((outline, fault)) => EmailResponse::outline(outline, fault),
    });
    let data = told.collect();
    Ok(response::json(StatusCode::OK, &List::new(page.has_more, data)))
}
