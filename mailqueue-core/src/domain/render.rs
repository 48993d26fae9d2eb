//! The bytes of a message.

use bytes::Bytes;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment as FilePart, Body as FileBody, MultiPart, SinglePart};
use time::format_description::well_known::Rfc2822;
use time::{OffsetDateTime, UtcOffset};

use super::attachment::Attachment;
use super::field;
use super::id::MessageId;
use super::message::Message;

/// A checked message that can still not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("the message cannot be rendered: {0}")]
pub struct RenderError(String);

/// The message as it is sent (RFC 5322), the same in every attempt: Message-ID, Date and boundaries are fixed here.
/// Lines end in CRLF; Bcc is nowhere in it. `date` becomes the Date header.
///
/// # Errors
///
/// [`RenderError`] when the mail library refuses a field that passed our own checks.
pub fn render(message: &Message, id: MessageId, date: OffsetDateTime) -> Result<Bytes, RenderError> {
    let mut raw = head(message, id, date)?.into_bytes();
    let body = match body(message)? {
        Body::Single(part) => part.formatted(),
        Body::Multi(part) => part.formatted(),
    };
    raw.extend(body);
    Ok(raw.into())
}

/// The header fields, less those of the body. They are written here rather than by lettre's message builder, which
/// does not fold lists of addresses and reads back what it has written: a name it cannot read costs a recipient.
fn head(message: &Message, id: MessageId, date: OffsetDateTime) -> Result<String, RenderError> {
    let date = date.to_offset(UtcOffset::UTC).format(&Rfc2822);
    let date = date.map_err(|error| RenderError(error.to_string()))?;
    let mut head = field::mailboxes("From", std::slice::from_ref(&message.from));
    for (name, people) in [("To", &message.to), ("Cc", &message.cc), ("Reply-To", &message.reply_to)] {
        if !people.is_empty() {
            head.push_str(&field::mailboxes(name, people));
        }
    }
    head.push_str(&field::text("Subject", &message.subject));
    head.push_str(&format!("Message-ID: <{id}@{}>\r\n", message.from.address.domain()));
    head.push_str(&format!("Date: {date}\r\n"));
    for header in &message.headers {
        let write = if header.is_free_text() { field::text } else { field::structured };
        head.push_str(&write(&header.name, &header.value));
    }
    head.push_str("MIME-Version: 1.0\r\n");
    Ok(head)
}

enum Body {
    Single(SinglePart),
    Multi(MultiPart),
}

impl Body {
    fn into_multi(self, empty: MultiPart) -> MultiPart {
        match self {
            Self::Single(part) => empty.singlepart(part),
            Self::Multi(part) => empty.multipart(part),
        }
    }
}

/// text, html, or alternative(text, related(html, inline files)); mixed around it when there are files.
fn body(message: &Message) -> Result<Body, RenderError> {
    let (inline, files): (Vec<_>, Vec<_>) =
        message.attachments.iter().partition(|file| file.content_id.is_some() && message.html.is_some());
    let html = message.html.as_ref().map(|html| related(html, &inline)).transpose()?;
    let text = message.text.as_ref().map(|text| SinglePart::plain(unix_lines(text)));
    let main = match (text, html) {
        (Some(text), Some(html)) => Body::Multi(html.into_multi(MultiPart::alternative().singlepart(text))),
        (Some(text), None) => Body::Single(text),
        (None, Some(html)) => html,
        (None, None) => Body::Single(SinglePart::plain(String::new())),
    };
    if files.is_empty() {
        return Ok(main);
    }
    let mut mixed = main.into_multi(MultiPart::mixed().build());
    for file in files {
        mixed = mixed.singlepart(part(file, FilePart::new(file.filename.clone()))?);
    }
    Ok(Body::Multi(mixed))
}

fn related(html: &str, inline: &[&Attachment]) -> Result<Body, RenderError> {
    let html = SinglePart::html(unix_lines(html));
    if inline.is_empty() {
        return Ok(Body::Single(html));
    }
    let mut related = MultiPart::related().singlepart(html);
    for file in inline {
        let id = file.content_id.clone().unwrap_or_default();
        related = related.singlepart(part(file, FilePart::new_inline_with_name(id, file.filename.clone()))?);
    }
    Ok(Body::Multi(related))
}

/// The builder turns LF into CRLF but lets a bare CR through, which some servers take for a line end (SMTP smuggling).
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn part(file: &Attachment, part: FilePart) -> Result<SinglePart, RenderError> {
    let content_type =
        ContentType::parse(&file.content_type).map_err(|error| RenderError(error.to_string()))?;
    // Always base64: left to choose, lettre sends ASCII content as it is, bare LFs and all.
    let content = FileBody::new_with_encoding(file.content.to_vec(), ContentTransferEncoding::Base64)
        .map_err(|_| RenderError(format!("{} cannot be encoded", file.content_type)))?;
    Ok(part.body(content, content_type))
}
