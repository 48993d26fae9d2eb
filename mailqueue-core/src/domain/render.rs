//! The bytes of a message.

use std::fmt::Write as _;

use bytes::Bytes;
use lettre::message::header::ContentType;
use lettre::message::{Attachment as FilePart, MultiPart, SinglePart};
use time::format_description::well_known::Rfc2822;
use time::{OffsetDateTime, UtcOffset};

use super::attachment::Attachment;
use super::id::MessageId;
use super::message::Message;
use super::rendered_file::is_inline;
use super::transfer_encoding::EncodedText;
use super::{field, transfer_encoding};

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
    let head = head(message, id, date)?;
    let body = body(message)?;
    // Large content is copied as seldom as can be: new memory costs more than what is written into it.
    let mut raw = Vec::with_capacity(head.len() + body.size());
    raw.extend_from_slice(head.as_bytes());
    body.write(&mut raw);
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
    let domain = message.from.address.domain();
    // A String takes whatever is written.
    let _ = write!(head, "Message-ID: <{id}@{domain}>\r\nDate: {date}\r\n");
    for header in &message.headers {
        let write = if header.is_free_text() { field::text } else { field::structured };
        head.push_str(&write(&header.name, &header.value));
    }
    head.push_str("MIME-Version: 1.0\r\n");
    Ok(head)
}

/// The parts after the head: lettre's parts, with their fields and encoded, but put together here.
enum Body {
    Text(TextKind, EncodedText),
    Single(SinglePart),
    Multi(MultiPart, Vec<Body>),
}

/// More than the fields of a part and a boundary take.
const PART_OVERHEAD: usize = 1024;

/// The kind of a text part.
#[derive(Debug, Clone, Copy)]
enum TextKind {
    Plain,
    Html,
}

impl TextKind {
    /// The Content-Type field, as lettre writes it. Nearly every message has such a part, so it is not put together anew.
    fn field(self) -> &'static str {
        match self {
            Self::Plain => "Content-Type: text/plain; charset=utf-8\r\n",
            Self::Html => "Content-Type: text/html; charset=utf-8\r\n",
        }
    }
}

/// Writes a text part.
fn write_text(kind: TextKind, text: &EncodedText, raw: &mut Vec<u8>) {
    raw.extend_from_slice(kind.field().as_bytes());
    raw.extend_from_slice(format!("Content-Transfer-Encoding: {}\r\n\r\n", text.encoding).as_bytes());
    raw.extend_from_slice(&text.octets);
    raw.extend_from_slice(b"\r\n");
}

impl Body {
    fn size(&self) -> usize {
        match self {
            Self::Text(_, text) => text.octets.len() + PART_OVERHEAD,
            Self::Single(part) => part.raw_body().len() + PART_OVERHEAD,
            Self::Multi(_, parts) => parts.iter().map(Self::size).sum::<usize>() + PART_OVERHEAD,
        }
    }

    /// Writes it and lets go of each part as soon as that is written.
    fn write(self, raw: &mut Vec<u8>) {
        match self {
            Self::Text(kind, text) => write_text(kind, &text, raw),
            Self::Single(part) => {
                raw.extend_from_slice(format!("{}\r\n", part.headers()).as_bytes());
                raw.extend_from_slice(part.raw_body());
                raw.extend_from_slice(b"\r\n");
            }
            Self::Multi(whole, parts) => {
                raw.extend_from_slice(format!("{}\r\n", whole.headers()).as_bytes());
                let boundary = whole.boundary();
                for part in parts {
                    raw.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
                    part.write(raw);
                }
                raw.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
            }
        }
    }
}

/// text, html, or alternative(text, related(html, inline files)); mixed around it when there are files.
fn body(message: &Message) -> Result<Body, RenderError> {
    let (inline, files): (Vec<_>, Vec<_>) = message
        .attachments
        .iter()
        .partition(|file| is_inline(file.content_id.as_deref(), message.html.is_some()));
    let html = message.html.as_ref().map(|html| related(html, &inline)).transpose()?;
    let text = message.text.as_ref().map(|text| Body::Text(TextKind::Plain, transfer_encoding::text(text)));
    let main = match (text, html) {
        (Some(text), Some(html)) => Body::Multi(MultiPart::alternative().build(), vec![text, html]),
        (Some(text), None) => text,
        (None, Some(html)) => html,
        // Not reached by a checked message, which has a text or HTML.
        (None, None) => Body::Text(TextKind::Plain, transfer_encoding::text("")),
    };
    if files.is_empty() {
        return Ok(main);
    }
    let mut mixed = vec![main];
    for file in files {
        mixed.push(part(file, FilePart::new(file.filename.clone()))?);
    }
    Ok(Body::Multi(MultiPart::mixed().build(), mixed))
}

fn related(html: &str, inline: &[&Attachment]) -> Result<Body, RenderError> {
    let html = Body::Text(TextKind::Html, transfer_encoding::text(html));
    if inline.is_empty() {
        return Ok(html);
    }
    let mut related = vec![html];
    for file in inline {
        let id = file.content_id.clone().unwrap_or_default();
        related.push(part(file, FilePart::new_inline_with_name(id, file.filename.clone()))?);
    }
    Ok(Body::Multi(MultiPart::related().build(), related))
}

fn part(file: &Attachment, part: FilePart) -> Result<Body, RenderError> {
    let content_type =
        ContentType::parse(&file.content_type).map_err(|error| RenderError(error.to_string()))?;
    // Always base64: left to choose, lettre sends ASCII content as it is, bare LFs and all.
    Ok(Body::Single(part.body(transfer_encoding::base64(&file.content), content_type)))
}
