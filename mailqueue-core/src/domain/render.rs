//! The bytes of a message.

use bytes::Bytes;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{
    Attachment as FilePart, Body as FileBody, Mailbox as LettreMailbox, MessageBuilder, MultiPart, SinglePart,
};
use time::OffsetDateTime;

use super::address::Mailbox;
use super::attachment::Attachment;
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
    let refused = |error: &dyn std::fmt::Display| RenderError(error.to_string());
    let mut builder = lettre::Message::builder()
        .from(mailbox(&message.from)?)
        .subject(message.subject.as_str())
        .message_id(Some(format!("<{id}@{}>", message.from.address.domain())))
        .date(date.into());
    for to in &message.to {
        builder = builder.to(mailbox(to)?);
    }
    for cc in &message.cc {
        builder = builder.cc(mailbox(cc)?);
    }
    for reply_to in &message.reply_to {
        builder = builder.reply_to(mailbox(reply_to)?);
    }
    builder = with_envelope(builder, message)?;
    let mut built = match body(message)? {
        Body::Single(part) => builder.singlepart(part),
        Body::Multi(part) => builder.multipart(part),
    }
    .map_err(|error| refused(&error))?;
    for header in &message.headers {
        let name = HeaderName::new_from_ascii(header.name.clone()).map_err(|error| refused(&error))?;
        built.headers_mut().insert_raw(HeaderValue::new(name, header.value.clone()));
    }
    Ok(built.formatted().into())
}

/// lettre wants an envelope to build; ours is kept beside the bytes, so any of the recipients will do.
fn with_envelope(builder: MessageBuilder, message: &Message) -> Result<MessageBuilder, RenderError> {
    let from = mailbox(&message.from)?.email;
    let envelope = lettre::address::Envelope::new(Some(from.clone()), vec![from]);
    Ok(builder.envelope(envelope.map_err(|error| RenderError(error.to_string()))?))
}

fn mailbox(mailbox: &Mailbox) -> Result<LettreMailbox, RenderError> {
    let address = mailbox.address.as_str().parse();
    let address = address.map_err(|error: lettre::address::AddressError| RenderError(error.to_string()))?;
    Ok(LettreMailbox::new(mailbox.name.clone(), address))
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
