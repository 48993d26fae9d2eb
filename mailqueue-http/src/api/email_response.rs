//! A message as it is told to programs: Resend's shape, and what became of it.

use mailqueue_core::StoreError;
use mailqueue_core::domain::attachment::AttachmentSummary;
use mailqueue_core::domain::attempt::Attempt;
use mailqueue_core::domain::recipient::Recipient;
use mailqueue_core::domain::record::{Outline, Record};
use mailqueue_core::domain::status::Status;
use serde::Serialize;
use time::OffsetDateTime;

/// One message.
#[derive(Serialize)]
pub(crate) struct EmailResponse<'r> {
    object: &'static str,
    id: String,
    message_id: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    from: String,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    reply_to: Vec<String>,
    subject: &'r str,
    #[serde(flatten)]
    content: Option<Content<'r>>,
    tags: &'r [mailqueue_core::domain::message::Tag],
    #[serde(with = "time::serde::rfc3339::option")]
    scheduled_at: Option<OffsetDateTime>,
    last_event: &'static str,
    status: Status,
    lane: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// What lists leave out.
#[derive(Serialize)]
struct Content<'r> {
    html: Option<&'r str>,
    text: Option<&'r str>,
    headers: serde_json::Map<String, serde_json::Value>,
    attachments: &'r [AttachmentSummary],
    recipients: &'r [Recipient],
    attempts: &'r [Attempt],
}

impl<'r> EmailResponse<'r> {
    /// All of a message.
    pub(crate) fn whole(record: &'r Record, now: OffsetDateTime) -> Self {
        let headers = record.summary.headers.iter();
        let content = Content {
            html: record.html.as_deref(),
            text: record.text.as_deref(),
            headers: headers.map(|header| (header.name.clone(), header.value.clone().into())).collect(),
            attachments: &record.summary.attachments,
            recipients: &record.delivery.recipients,
            attempts: &record.delivery.attempts,
        };
        Self { content: Some(content), ..Self::brief(record, now) }
    }

    /// What stands of a message in a list.
    pub(crate) fn brief(record: &'r Record, now: OffsetDateTime) -> Self {
        let strings = |mailboxes: &[mailqueue_core::domain::address::Mailbox]| {
            mailboxes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let people = &record.summary.people;
        Self {
            object: "email",
            id: record.id.to_string(),
            message_id: format!("<{}@{}>", record.id, people.from.address.domain()),
            created_at: record.created_at,
            from: people.from.to_string(),
            to: strings(&people.to),
            cc: strings(&people.cc),
            bcc: strings(&people.bcc),
            reply_to: strings(&people.reply_to),
            subject: &record.summary.subject,
            content: None,
            tags: &record.summary.tags,
            scheduled_at: record.scheduled_at,
            last_event: last_event(record, now),
            status: record.delivery.status,
            lane: record.lane.as_str(),
            due_at: record.due_at,
            finished_at: record.finished_at,
            unreadable: None,
        }
    }

    /// What can be said of a message whose record makes no sense, in the same shape.
    pub(crate) fn outline(outline: &'r Outline, fault: &StoreError) -> Self {
        Self {
            object: "email",
            id: outline.id.to_string(),
            message_id: String::new(),
            created_at: outline.created_at,
            from: String::new(),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: &outline.subject,
            content: None,
            tags: &[],
            scheduled_at: None,
            last_event: match outline.status {
                Status::Queued | Status::Sending => "queued",
                Status::Sent => "sent",
                Status::Failed => "failed",
                Status::Cancelled => "canceled",
                Status::Unknown => "delivery_delayed",
            },
            status: outline.status,
            lane: outline.lane.as_str(),
            due_at: outline.due_at,
            finished_at: None,
            unreadable: Some(fault.to_string()),
        }
    }
}

fn is_tried(record: &Record) -> bool {
    record.delivery.attempt > 0 || !record.delivery.attempts.is_empty()
}

/// Whether a message waits for its time, be it the one it was submitted for or a later wish.
fn is_scheduled(record: &Record, now: OffsetDateTime) -> bool {
    record.delivery.status == Status::Queued && !is_tried(record) && record.due_at > now
}

/// Resend's word for where a message stands.
///
/// Never `delivered`: a relay's yes is the last that is heard here. A message whose end is not known is told as
/// `delivery_delayed`, the one word that claims neither success nor failure; `status` says `unknown`.
fn last_event(record: &Record, now: OffsetDateTime) -> &'static str {
    let delivery = &record.delivery;
    let refused = |recipient: &Recipient| {
        let code = recipient.reply.as_ref().and_then(|reply| reply.code);
        code.is_some_and(|code| (500..600).contains(&code))
    };
    match delivery.status {
        Status::Queued if is_tried(record) => "delivery_delayed",
        Status::Queued if is_scheduled(record, now) => "scheduled",
        Status::Queued | Status::Sending => "queued",
        Status::Sent => "sent",
        Status::Failed if delivery.recipients.iter().all(refused) => "bounced",
        Status::Failed => "failed",
        Status::Cancelled => "canceled",
        Status::Unknown => "delivery_delayed",
    }
}
