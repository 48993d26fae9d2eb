//! A message as `export` writes it and `replay` reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailqueue_core::domain::address::Mailbox;
use mailqueue_core::domain::attachment::AttachmentDraft;
use mailqueue_core::domain::header::Header;
use mailqueue_core::domain::message::Tag;
use mailqueue_core::domain::rendered_file::encoded_file;
use mailqueue_core::domain::schedule::Schedule;
use mailqueue_core::{Draft, Lane, MessageId, Record, Status};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A message with its content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Exported {
    pub(super) id: MessageId,
    pub(super) tenant: String,
    status: Status,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(default, with = "time::serde::rfc3339::option")]
    scheduled_at: Option<OffsetDateTime>,
    lane: Lane,
    from: Mailbox,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
    reply_to: Vec<Mailbox>,
    subject: String,
    text: Option<String>,
    html: Option<String>,
    headers: Vec<Header>,
    tags: Vec<Tag>,
    attachments: Vec<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    filename: String,
    content_type: String,
    content_id: Option<String>,
    /// In base64.
    content: String,
}

impl Exported {
    /// The copy of a message; `None` once retention has taken its content.
    pub(super) fn of(record: Record) -> Option<Self> {
        let raw = record.raw.as_deref()?;
        let (files, has_html) = (&record.summary.attachments, record.html.is_some());
        let mut attachments = Vec::with_capacity(files.len());
        for (n, file) in files.iter().enumerate() {
            let mut content = encoded_file(raw, files, n, has_html)?.to_vec();
            content.retain(|octet| !octet.is_ascii_whitespace());
            attachments.push(File {
                filename: file.filename.clone(),
                content_type: file.content_type.clone(),
                content_id: file.content_id.clone(),
                content: String::from_utf8(content).ok()?,
            });
        }
        let people = record.summary.people;
        Some(Self {
            id: record.id,
            tenant: record.tenant,
            status: record.delivery.status,
            created_at: record.created_at,
            scheduled_at: record.scheduled_at,
            lane: record.lane,
            from: people.from,
            to: people.to,
            cc: people.cc,
            bcc: people.bcc,
            reply_to: people.reply_to,
            subject: record.summary.subject,
            text: record.text,
            html: record.html,
            headers: record.summary.headers,
            tags: record.summary.tags,
            attachments,
        })
    }

    /// The draft of the same message; one that was scheduled for a time that has passed is due at once.
    pub(super) fn draft(self, now: OffsetDateTime) -> Result<Draft, String> {
        let list =
            |mailboxes: &[Mailbox]| -> Vec<String> { mailboxes.iter().map(Mailbox::to_string).collect() };
        let people = [&self.to, &self.cc, &self.bcc, &self.reply_to].into_iter().flatten();
        let smtputf8 = people.chain([&self.from]).any(|mailbox| mailbox.address.needs_smtputf8());
        let file = |file: File| -> Result<AttachmentDraft, String> {
            let content = STANDARD.decode(file.content).map_err(|_| "a file is not in base64")?.into();
            let (content_type, content_id) = (Some(file.content_type), file.content_id);
            Ok(AttachmentDraft { filename: file.filename, content_type, content_id, content })
        };
        Ok(Draft {
            from: self.from.to_string(),
            to: list(&self.to),
            cc: list(&self.cc),
            bcc: list(&self.bcc),
            reply_to: list(&self.reply_to),
            subject: self.subject,
            text: self.text,
            html: self.html,
            headers: self.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            attachments: self.attachments.into_iter().map(file).collect::<Result<_, _>>()?,
            tags: self.tags.into_iter().map(|tag| (tag.name, tag.value)).collect(),
            scheduled_at: self.scheduled_at.filter(|&at| at > now).map(Schedule::At),
            lane: self.lane,
            smtputf8,
            ..Draft::default()
        })
    }
}
