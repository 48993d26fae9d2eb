//! The content of a message, part by part, for people.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, X_FRAME_OPTIONS};
use mailqueue_core::domain::record::Record;

use super::message;
use super::preview;
use crate::api::attachments;
use crate::app::App;
use crate::wire::parameter::{parameters, text, uuid};
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// The parts that have an address.
const PARTS: [&str; 6] = ["html", "source", "text", "headers", "raw", "eml"];

/// The rules for a stranger's HTML: it runs nothing, sends nothing, and loads nothing.
const CLOSED: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; \
                      style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

/// The same, but pictures from elsewhere are loaded: the person has asked for them.
const WITH_PICTURES: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; \
                             style-src 'unsafe-inline'; img-src data: https: http:; form-action 'none'; base-uri 'none'; \
                             frame-ancestors 'self'";

parameters! {
    /// The part in the address.
    PartName { Path "id", "", uuid(); Path "part", "", text(&PARTS); }
}

/// The content of a message
///
/// `html` as it looks, `source` as it is written, `text`, `headers`, `raw` as it is sent, `eml` to be saved. For those who are
/// logged in; 404 once retention took it.
#[utoipa::path(
    get, path = "/messages/{id}/{part}", tag = "Page", operation_id = "show_message_part", params(PartName),
    responses(
        (status = 200, description = "The part.", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 303, description = "Nobody is logged in; for browsers."),
        Refused<404>,
    ),
)]
pub(crate) async fn show(app: &App, request: &Request) -> Result<Response, Problem> {
    if !PARTS.contains(&&*request.part) {
        return Err(Problem::no_such_address());
    }
    let mut record = match message::content(app, request).await? {
        Ok((record, _)) => record,
        Err(login) => return Ok(login),
    };
    let gone = || Problem::not_found("The message has no such part, or it is not kept any more.");
    match &*request.part {
        "html" => {
            let pictures = request.query().split('&').any(|pair| pair == "pictures=1");
            let html = preview::html(record).await?.ok_or_else(gone)?;
            Ok(page_of_a_stranger(html, pictures))
        }
        "source" => record.html.map(plain).ok_or_else(gone),
        "text" => record.text.map(plain).ok_or_else(gone),
        part => {
            let raw = record.raw.take().ok_or_else(gone)?;
            Ok(match part {
                "headers" => plain(head(&raw).to_vec()),
                "raw" => plain(raw),
                _ => saved(&record, raw),
            })
        }
    }
}

/// A file of a message
///
/// To be saved and never shown. For those who are logged in.
#[utoipa::path(
    get, path = "/messages/{id}/attachments/{part}", tag = "Page", operation_id = "show_message_file",
    params(attachments::AttachmentId),
    responses(
        (status = 200, description = "Its content.", body = String, content_type = "*/*"),
        (status = 303, description = "Nobody is logged in; for browsers."),
        Refused<404>,
    ),
)]
pub(crate) async fn file(app: &App, request: &Request) -> Result<Response, Problem> {
    match message::content(app, request).await? {
        Ok((record, _)) => attachments::file_of(record, &request.part).await,
        Err(login) => Ok(login),
    }
}

/// Text as it is, which no browser takes for anything else.
fn plain(text: impl Into<Bytes>) -> Response {
    let mut response = response::of(StatusCode::OK, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CLOSED));
    response
}

fn page_of_a_stranger(html: String, pictures: bool) -> Response {
    let mut response = response::html(StatusCode::OK, html);
    let policy = if pictures { WITH_PICTURES } else { CLOSED };
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response.headers_mut().insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    let no_referrer = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(HeaderName::from_static("referrer-policy"), no_referrer);
    // A name that is looked up tells its owner that the mail is looked at.
    let off = HeaderValue::from_static("off");
    response.headers_mut().insert(HeaderName::from_static("x-dns-prefetch-control"), off);
    response
}

/// The message as a file that mail programs open.
fn saved(record: &Record, raw: Vec<u8>) -> Response {
    let mut response = response::of(StatusCode::OK, "message/rfc822", raw);
    let name = format!("attachment; filename=\"{}.eml\"", record.id);
    // An id is made of digits, letters and hyphens.
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CLOSED));
    response
}

/// The header fields of a message.
fn head(raw: &[u8]) -> &[u8] {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n");
    &raw[..end.map_or(raw.len(), |end| end + 2)]
}
