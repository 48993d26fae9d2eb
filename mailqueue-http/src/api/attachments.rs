//! The files of a message, listed and handed out.

use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use mailqueue_core::MessageId;
use mailqueue_core::domain::attachment::AttachmentSummary;
use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::rendered_file::{encoded_file, is_inline};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::find::{EmailId, find, message_id};
use super::query::{self, WindowQuery};
use crate::app::App;
use crate::wire::base64;
use crate::wire::origin;
use crate::wire::parameter::{parameters, uuid};
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// The time for which a client may keep an address. The file itself stays until retention takes
/// the message's content.
const URL_LIFETIME: Duration = Duration::hours(1);

/// A file that can be fetched.
#[derive(Serialize, ToSchema)]
#[schema(as = Attachment)]
pub(super) struct AttachmentResponse<'r> {
    /// Always `attachment`.
    object: &'static str,
    #[schema(format = "uuid")]
    id: String,
    filename: &'r str,
    /// In octets.
    size: u64,
    content_type: &'r str,
    /// `inline` when the HTML shows it, else `attachment`.
    content_disposition: &'static str,
    #[schema(required = true)]
    content_id: Option<&'r str>,
    /// Where its content is, for whoever has the API key.
    #[schema(format = "uri")]
    download_url: String,
    /// Ask again after this.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: OffsetDateTime,
}

/// The files of a message.
#[derive(Serialize, ToSchema)]
pub(super) struct AttachmentList<'r> {
    /// Always `list`.
    object: &'static str,
    /// Whether more follow in the direction asked for.
    has_more: bool,
    data: Vec<AttachmentResponse<'r>>,
}

parameters! {
    /// The ids in the address.
    AttachmentId { Path "id", "", uuid(); Path "part", "", uuid(); }
}

/// List a message's files
#[utoipa::path(
    get, path = "/emails/{id}/attachments", tag = "Attachments", operation_id = "list_attachments",
    security(("key" = [])), params(EmailId, WindowQuery),
    responses((status = 200, description = "The files.", body = AttachmentList<'_>), Refused<404>, Refused<422>),
)]
pub(crate) async fn attachments(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let (id, range) = (message_id(request)?, query::range(request.query())?);
    let record = find(&outbox, id).await?;
    // Without files the list is empty, whether the content is kept or not.
    if !record.summary.attachments.is_empty() {
        kept(&record)?;
    }
    let ids: Vec<String> = (0..record.summary.attachments.len()).map(|n| part_id(id, n)).collect();
    let (range, has_more) = range.of(&ids)?;
    let now = outbox.clock().now();
    let data = range.map(|n| response_of(&record, n, request, now)).collect();
    Ok(response::json(StatusCode::OK, &AttachmentList { object: "list", has_more, data }))
}

/// Look a file up
#[utoipa::path(
    get, path = "/emails/{id}/attachments/{part}", tag = "Attachments", operation_id = "get_attachment",
    security(("key" = [])), params(AttachmentId),
    responses(
        (status = 200, description = "The file, without its content.", body = AttachmentResponse<'_>),
        Refused<404>, Refused<422>,
    ),
)]
pub(crate) async fn attachment(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    let record = find(&outbox, message_id(request)?).await?;
    let n = place(&record, &request.part)?;
    kept(&record)?;
    Ok(response::json(StatusCode::OK, &response_of(&record, n, request, outbox.clock().now())))
}

/// Fetch a file
///
/// In the media type it was sent with, to be saved and never shown. 404 once retention took it.
#[utoipa::path(
    get, path = "/emails/{id}/attachments/{part}/content", tag = "Attachments",
    operation_id = "download_attachment", security(("key" = [])), params(AttachmentId),
    responses(
        (
            status = 200, description = "Its content.", body = String, content_type = "*/*",
            headers(("Content-Disposition" = String, description = "Its name.")),
        ),
        Refused<404>, Refused<422>,
    ),
)]
pub(crate) async fn content(app: &App, request: &Request) -> Result<Response, Problem> {
    let outbox = app.outbox_of(request)?;
    file_of(find(&outbox, message_id(request)?).await?, &request.part).await
}

/// The content of a message's file, by the file's id.
///
/// # Errors
///
/// 404 for an unknown id, and once retention took the content.
pub(crate) async fn file_of(mut record: Record, part: &str) -> Result<Response, Problem> {
    let n = place(&record, part)?;
    kept(&record)?;
    let (raw, has_html, id) = (record.raw.take().unwrap_or_default(), record.html.is_some(), record.id);
    let files = record.summary.attachments;
    let read = tokio::task::spawn_blocking(move || {
        let encoded = encoded_file(&raw, &files, n, has_html);
        // The recorded size shows whether the right part was found.
        let content =
            encoded.and_then(base64::decoded).filter(|content| content.len() as u64 == files[n].size);
        content.map(|content| download(&files[n], content))
    });
    read.await.ok().flatten().ok_or_else(|| {
        tracing::error!(event = "message.unreadable", message_id = %id, "a file cannot be read back out of its message");
        Problem::broken()
    })
}

fn kept(record: &Record) -> Result<(), Problem> {
    let gone = || Problem::not_found("The content of this message is not kept any more.");
    record.raw.is_some().then_some(()).ok_or_else(gone)
}

/// The id of a message's n-th file: a UUID that is the same whenever it is asked for.
pub(crate) fn part_id(id: MessageId, n: usize) -> String {
    let mut digest = [0; 16];
    // Derived from the place, so that nothing has to be stored for it.
    digest.copy_from_slice(&Sha256::digest(format!("{id}/{n}"))[..16]);
    uuid::Builder::from_custom_bytes(digest).into_uuid().hyphenated().to_string()
}

/// The place of the file with an id.
fn place(record: &Record, part: &str) -> Result<usize, Problem> {
    let mut places = 0..record.summary.attachments.len();
    let unknown = || Problem::not_found("The message has no attachment with this id.");
    places.find(|n| part_id(record.id, *n) == part).ok_or_else(unknown)
}

fn response_of<'r>(
    record: &'r Record,
    n: usize,
    request: &Request,
    now: OffsetDateTime,
) -> AttachmentResponse<'r> {
    let file = &record.summary.attachments[n];
    let id = part_id(record.id, n);
    let address = origin::origin(&request.head.headers) + request.base;
    AttachmentResponse {
        object: "attachment",
        filename: &file.filename,
        size: file.size,
        content_type: &file.content_type,
        content_disposition: if is_inline(file.content_id.as_deref(), record.html.is_some()) {
            "inline"
        } else {
            "attachment"
        },
        content_id: file.content_id.as_deref(),
        download_url: format!("{address}/emails/{}/attachments/{id}/content", record.id),
        expires_at: now + URL_LIFETIME,
        id,
    }
}

fn download(file: &AttachmentSummary, content: Vec<u8>) -> Response {
    let mut response = response::of(StatusCode::OK, "application/octet-stream", content);
    let headers = response.headers_mut();
    // A type that is no header value leaves `application/octet-stream`.
    if let Ok(content_type) = HeaderValue::from_str(&file.content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.insert(CONTENT_DISPOSITION, disposition(&file.filename));
    // A file may be a stranger's HTML: it must not run on this origin.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

/// All but the characters that RFC 8187 leaves as they are.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// RFC 6266: the name in ASCII for old clients and as it is for all others.
fn disposition(filename: &str) -> HeaderValue {
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' };
    let ascii: String = filename.chars().map(plain).collect();
    let exact = utf8_percent_encode(filename, PLAIN);
    let value = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}
