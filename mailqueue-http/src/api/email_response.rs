//! A message as programs read it: the shape of Resend's API, and the outcome.

use mailqueue_core::StoreError;
use mailqueue_core::domain;
use mailqueue_core::domain::address::Mailbox;
use mailqueue_core::domain::attachment::AttachmentSummary;
use mailqueue_core::domain::message;
use mailqueue_core::domain::record::{PartialRecord, Record};
use mailqueue_core::domain::status::Status;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::enum_schemas;
use super::new_email::Tag;

/// A message as it stands in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct EmailSummary<'r> {
    /// Always `email`.
    object: &'static str,
    #[schema(format = "uuid")]
    id: String,
    /// The Message-ID header.
    message_id: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    from: String,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    reply_to: Vec<String>,
    subject: &'r str,
    #[schema(value_type = Vec<Tag>)]
    tags: &'r [message::Tag],
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    scheduled_at: Option<OffsetDateTime>,
    last_event: LastEvent,
    #[schema(value_type = enum_schemas::Status)]
    status: Status,
    #[schema(value_type = enum_schemas::Lane)]
    lane: &'static str,
    /// When it is due, or was last.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    finished_at: Option<OffsetDateTime>,
    /// Only where the record makes no sense to this version: why. Addresses and tags are empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// A message and what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Email)]
pub(super) struct EmailResponse<'r> {
    #[serde(flatten)]
    summary: EmailSummary<'r>,
    /// None once retention took the content.
    #[schema(required = true)]
    html: Option<&'r str>,
    #[schema(required = true)]
    text: Option<&'r str>,
    #[schema(value_type = BTreeMap<String, String>)]
    headers: serde_json::Map<String, serde_json::Value>,
    attachments: Vec<FileSummary<'r>>,
    recipients: Vec<Recipient<'r>>,
    /// What was tried, oldest first.
    attempts: Vec<Attempt<'r>>,
}

/// Resend's word for where a message stands. Never `delivered`: a server's yes is the last that is heard here.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LastEvent {
    Queued,
    Scheduled,
    Sent,
    DeliveryDelayed,
    Bounced,
    Failed,
    Canceled,
}

/// A file of a message.
#[derive(Serialize, ToSchema)]
struct FileSummary<'r> {
    filename: &'r str,
    content_type: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<&'r str>,
    /// In octets, before it was encoded.
    size: u64,
}

/// What became of one recipient.
#[derive(Serialize, ToSchema)]
struct Recipient<'r> {
    address: &'r str,
    #[schema(value_type = enum_schemas::RecipientStatus)]
    status: domain::recipient::RecipientStatus,
    /// Whether a copy may be out although no answer said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe_sent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<Reply<'r>>,
}

/// An answer of a mail server.
#[derive(Serialize, ToSchema)]
struct Reply<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    text: &'r str,
}

/// One try.
#[derive(Serialize, ToSchema)]
struct Attempt<'r> {
    attempt: u32,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    started_at: OffsetDateTime,
    duration_ms: u64,
    worker: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<&'r str>,
    /// `sent`, `partial`, `deferred`, `throttled`, `refused`, `ambiguous`, `relay_fault` or `lease_lost`.
    outcome: &'static str,
    /// Which fault, when the relay was at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    fault: Option<domain::report::RelayFault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<Reply<'r>>,
    /// How often in a row, when more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

impl<'r> EmailResponse<'r> {
    /// All of a message.
    pub(super) fn of(record: &'r Record, now: OffsetDateTime) -> Self {
        let headers = record.summary.headers.iter();
        Self {
            summary: EmailSummary::of(record, now),
            html: record.html.as_deref(),
            text: record.text.as_deref(),
            headers: headers.map(|header| (header.name.clone(), header.value.clone().into())).collect(),
            attachments: record.summary.attachments.iter().map(FileSummary::of).collect(),
            recipients: record.delivery.recipients.iter().map(Recipient::of).collect(),
            attempts: record.delivery.attempts.iter().map(Attempt::of).collect(),
        }
    }
}

impl<'r> FileSummary<'r> {
    fn of(file: &'r AttachmentSummary) -> Self {
        Self {
            filename: &file.filename,
            content_type: &file.content_type,
            content_id: file.content_id.as_deref(),
            size: file.size,
        }
    }
}

impl<'r> Recipient<'r> {
    fn of(recipient: &'r domain::recipient::Recipient) -> Self {
        Self {
            address: recipient.address.as_str(),
            status: recipient.status,
            maybe_sent: Some(true).filter(|_| recipient.maybe_sent),
            reply: recipient.reply.as_ref().map(Reply::of),
        }
    }
}

impl<'r> Reply<'r> {
    fn of(reply: &'r domain::report::Reply) -> Self {
        Self { code: reply.code, text: &reply.text }
    }
}

impl<'r> Attempt<'r> {
    fn of(attempt: &'r domain::attempt::Attempt) -> Self {
        Self {
            attempt: attempt.attempt,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            worker: &attempt.worker,
            relay: attempt.relay.as_deref(),
            outcome: attempt.outcome.as_str(),
            fault: attempt.fault,
            reply: attempt.reply.as_ref().map(Reply::of),
            times: Some(attempt.times).filter(|times| *times != 1),
        }
    }
}

impl<'r> EmailSummary<'r> {
    /// A message in a list.
    pub(super) fn of(record: &'r Record, now: OffsetDateTime) -> Self {
        let strings = |mailboxes: &[Mailbox]| mailboxes.iter().map(ToString::to_string).collect::<Vec<_>>();
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

    /// A message whose record cannot be read, by the columns that can.
    pub(super) fn partial(partial: &'r PartialRecord, fault: &StoreError) -> Self {
        Self {
            object: "email",
            id: partial.id.to_string(),
            message_id: String::new(),
            created_at: partial.created_at,
            from: String::new(),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: &partial.subject,
            tags: &[],
            scheduled_at: None,
            last_event: match partial.status {
                Status::Queued | Status::Sending => LastEvent::Queued,
                Status::Sent => LastEvent::Sent,
                Status::Failed => LastEvent::Failed,
                Status::Cancelled => LastEvent::Canceled,
                Status::Unknown => LastEvent::DeliveryDelayed,
            },
            status: partial.status,
            lane: partial.lane.as_str(),
            due_at: partial.due_at,
            finished_at: None,
            unreadable: Some(fault.to_string()),
        }
    }
}

fn is_tried(record: &Record) -> bool {
    // The number alone does not tell: a relay's fault gives the attempt back.
    record.delivery.attempt > 0 || !record.delivery.attempts.is_empty()
}

/// Waiting for its time, as submitted or as changed later.
fn is_scheduled(record: &Record, now: OffsetDateTime) -> bool {
    record.delivery.status == Status::Queued && !is_tried(record) && record.due_at > now
}

/// The word for a record. A message whose end is not known is told as
/// `delivery_delayed`, the one word that claims neither success nor failure; `status` says `unknown`.
fn last_event(record: &Record, now: OffsetDateTime) -> LastEvent {
    let delivery = &record.delivery;
    let refused = |recipient: &domain::recipient::Recipient| {
        let code = recipient.reply.as_ref().and_then(|reply| reply.code);
        code.is_some_and(|code| (500..600).contains(&code))
    };
    match delivery.status {
        Status::Queued if is_tried(record) => LastEvent::DeliveryDelayed,
        Status::Queued if is_scheduled(record, now) => LastEvent::Scheduled,
        Status::Queued | Status::Sending => LastEvent::Queued,
        Status::Sent => LastEvent::Sent,
        Status::Failed if delivery.recipients.iter().all(refused) => LastEvent::Bounced,
        Status::Failed => LastEvent::Failed,
        Status::Cancelled => LastEvent::Canceled,
        Status::Unknown => LastEvent::DeliveryDelayed,
    }
}
