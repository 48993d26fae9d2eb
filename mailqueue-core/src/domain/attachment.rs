//! Files that go with a message.

use bytes::Bytes;
use lettre::message::header::ContentType;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text;

/// A file that goes with a message, already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name the receiver sees, one line without path separators.
    pub filename: String,
    /// Its media type.
    pub content_type: String,
    /// The id by which the HTML part refers to it (`cid:logo`); such a file is shown inline.
    pub content_id: Option<String>,
    /// The content.
    pub content: Bytes,
}

/// The summary of an attachment that the record keeps beside the rendered message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentSummary {
    /// The name the receiver sees.
    pub filename: String,
    /// Its media type.
    pub content_type: String,
    /// The id by which the HTML part refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Its size in octets, before it was encoded.
    pub size: u64,
}

impl Attachment {
    /// Checks an attachment.
    ///
    /// # Errors
    ///
    /// The name of the faulty member and a sentence that says what would be right.
    pub fn new(
        filename: &str,
        content_type: &str,
        content_id: Option<&str>,
        content: Bytes,
    ) -> Result<Self, (&'static str, String)> {
        check_filename(filename).map_err(|detail| ("filename", detail))?;
        check_content_type(content_type).map_err(|detail| ("content_type", detail))?;
        if let Some(id) = content_id {
            check_content_id(id).map_err(|detail| ("content_id", detail))?;
        }
        Ok(Self {
            filename: filename.to_owned(),
            content_type: content_type.to_owned(),
            content_id: content_id.map(str::to_owned),
            content,
        })
    }

    /// The summary that the record keeps.
    #[must_use]
    pub fn summary(&self) -> AttachmentSummary {
        AttachmentSummary {
            filename: self.filename.clone(),
            content_type: self.content_type.clone(),
            content_id: self.content_id.clone(),
            size: self.content.len() as u64,
        }
    }
}

fn check_filename(name: &str) -> Result<(), String> {
    text::check_line(name)?;
    text::check_length(name, 255)?;
    if name.is_empty() || name.contains(['/', '\\']) {
        return Err("must be a file name without a path".into());
    }
    Ok(())
}

fn check_content_type(content_type: &str) -> Result<(), String> {
    let fault = || "must be a media type such as application/pdf, not multipart or message".to_owned();
    if text::check_line(content_type).is_err() || !content_type.is_ascii() || content_type.len() > 255 {
        return Err(fault());
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim_end();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    // RFC 2045 section 6.4 forbids base64 for these, and all attachments are sent in base64.
    let is_container = ["multipart", "message"].iter().any(|container| kind.eq_ignore_ascii_case(container));
    if is_container || !is_token(kind) || !is_token(subtype) || ContentType::parse(content_type).is_err() {
        return Err(fault());
    }
    Ok(())
}

/// RFC 2045 `token`.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

fn check_content_id(id: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.@+".contains(&b);
    if id.is_empty() || id.len() > 128 || !id.bytes().all(allowed) {
        return Err("must have 1 to 128 letters, digits or -_.@+".into());
    }
    Ok(())
}

/// A file as it is handed in, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentDraft {
    /// The name the receiver sees.
    pub filename: String,
    /// Its media type; `application/octet-stream` when `None`.
    pub content_type: Option<String>,
    /// The id by which the HTML part refers to it.
    pub content_id: Option<String>,
    /// The content.
    #[serde(serialize_with = "digest")]
    pub content: Bytes,
}

/// Attachments take part in a submission's fingerprint by their hash.
fn digest<S: serde::Serializer>(content: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&Sha256::digest(content))
}
