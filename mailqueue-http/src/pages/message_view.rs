//! Messages as the pages show them.

use mailqueue_core::contracts::store::Listed;
use mailqueue_core::domain::recipient::RecipientStatus;
use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::report::Reply;
use mailqueue_core::domain::status::Status;
use serde::Serialize;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// A message on its own page.
#[derive(Serialize)]
pub(super) struct View {
    id: String,
    status: &'static str,
    tone: &'static str,
    /// The seconds until the page looks again; `None` when nothing changes any more.
    refresh: Option<u32>,
    is_final: bool,
    created: Moment,
    scheduled: Option<Moment>,
    /// The time of the next attempt.
    next: Option<Moment>,
    finished: Option<Moment>,
    recipients: Vec<RecipientView>,
    attempts: Vec<AttemptView>,
    content: Option<Content>,
}

/// The content, which only some may see.
#[derive(Serialize)]
struct Content {
    from: String,
    to: String,
    subject: String,
    text: Option<String>,
    has_html: bool,
    attachments: Vec<String>,
}

#[derive(Serialize)]
struct RecipientView {
    address: Option<String>,
    status: &'static str,
    tone: &'static str,
    maybe_sent: bool,
    code: Option<u16>,
    text: Option<String>,
}

#[derive(Serialize)]
struct AttemptView {
    number: u32,
    started: Moment,
    duration_ms: u64,
    outcome: &'static str,
    times: u32,
    relay: Option<String>,
    code: Option<u16>,
    text: Option<String>,
}

/// A time, for people and for programs.
#[derive(Serialize)]
struct Moment {
    shown: String,
    exact: String,
}

/// A message in the list.
#[derive(Serialize)]
pub(super) struct Line {
    id: String,
    subject: String,
    to: String,
    status: &'static str,
    tone: &'static str,
    created: Moment,
}

impl View {
    /// A message as it stands; with what is in it or without; looking again by itself unless it is to keep still.
    pub(super) fn of(record: &Record, content: bool, now: OffsetDateTime, still: bool) -> Self {
        let delivery = &record.delivery;
        let status = delivery.status;
        let soon = status == Status::Sending || record.due_at <= now + Duration::seconds(10);
        let next = (status == Status::Queued).then(|| Moment::of(record.due_at));
        Self {
            id: record.id.to_string(),
            status: status.as_str(),
            tone: tone(status),
            refresh: (!status.is_final() && !still).then_some(if soon { 2 } else { 30 }),
            is_final: status.is_final(),
            created: Moment::of(record.created_at),
            scheduled: record.scheduled_at.map(Moment::of),
            next: next.filter(|_| !delivery.attempts.is_empty()),
            finished: record.finished_at.map(Moment::of),
            recipients: recipients(record, content),
            attempts: attempts(record, content),
            content: content.then(|| Content::of(record)),
        }
    }
}

impl Content {
    fn of(record: &Record) -> Self {
        let people = &record.summary.people;
        let to = people.to.iter().chain(&people.cc).chain(&people.bcc).map(ToString::to_string);
        Self {
            from: people.from.to_string(),
            to: to.collect::<Vec<_>>().join(", "),
            subject: record.summary.subject.clone(),
            text: record.text.clone(),
            has_html: record.html.is_some(),
            attachments: record.summary.attachments.iter().map(|file| file.filename.clone()).collect(),
        }
    }
}

impl Line {
    /// A message as it stands.
    pub(super) fn of(listed: &Listed) -> Self {
        match listed {
            Ok(record) => Self::read(record),
            Err((partial, _)) => Self {
                id: partial.id.to_string(),
                subject: partial.subject.clone(),
                to: String::new(),
                status: "unreadable",
                tone: "bad",
                created: Moment::of(partial.created_at),
            },
        }
    }

    fn read(record: &Record) -> Self {
        let Content { subject, to, .. } = Content::of(record);
        let status = record.delivery.status;
        Self {
            id: record.id.to_string(),
            subject,
            to,
            status: status.as_str(),
            tone: tone(status),
            created: Moment::of(record.created_at),
        }
    }
}

impl Moment {
    fn of(time: OffsetDateTime) -> Self {
        let time = time.to_offset(time::UtcOffset::UTC);
        let shown = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        let exact = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        // Both descriptions only ask for what every time has.
        Self { shown: time.format(shown).unwrap_or_default(), exact: time.format(exact).unwrap_or_default() }
    }
}

/// The reply of a server. It may name an address, so its text is shown only with the content.
fn told(reply: Option<&Reply>, content: bool) -> (Option<u16>, Option<String>) {
    let code = reply.and_then(|reply| reply.code);
    let text = reply.map(|reply| reply.text.clone()).filter(|text| content && !text.is_empty());
    (code, text)
}

fn recipients(record: &Record, content: bool) -> Vec<RecipientView> {
    let recipients = record.delivery.recipients.iter().map(|recipient| {
        let (code, text) = told(recipient.reply.as_ref(), content);
        let (status, tone) = match recipient.status {
            RecipientStatus::Queued => ("queued", "waiting"),
            RecipientStatus::Sent => ("sent", "good"),
            RecipientStatus::Failed => ("failed", "bad"),
            RecipientStatus::Cancelled => ("cancelled", "quiet"),
            RecipientStatus::Unknown => ("unknown", "doubt"),
        };
        let address = content.then(|| recipient.address.to_string());
        RecipientView { address, status, tone, maybe_sent: recipient.maybe_sent, code, text }
    });
    recipients.collect()
}

fn attempts(record: &Record, content: bool) -> Vec<AttemptView> {
    let attempts = record.delivery.attempts.iter().map(|attempt| {
        let (code, text) = told(attempt.reply.as_ref(), content);
        AttemptView {
            number: attempt.attempt,
            started: Moment::of(attempt.started_at),
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome.as_str(),
            times: attempt.times,
            relay: attempt.relay.clone().filter(|_| content),
            code,
            text,
        }
    });
    attempts.collect()
}

/// The colour of a status.
fn tone(status: Status) -> &'static str {
    match status {
        Status::Queued | Status::Sending => "waiting",
        Status::Sent => "good",
        Status::Failed => "bad",
        Status::Cancelled => "quiet",
        Status::Unknown => "doubt",
    }
}
