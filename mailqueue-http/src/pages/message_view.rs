//! A message as its page shows it.

use mailqueue_core::domain::attachment::AttachmentSummary;
use mailqueue_core::domain::recipient::RecipientStatus;
use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::report::Reply;
use mailqueue_core::domain::status::Status;
use serde::Serialize;
use time::OffsetDateTime;

use super::moment::Moment;
use super::stage::Stage;
use crate::api::attachments::part_id;
use crate::shown_content::ShownContent;

/// A message on its own page.
#[derive(Serialize)]
pub(super) struct View {
    id: String,
    stage: &'static str,
    tone: &'static str,
    /// True while it is sent, or due.
    is_due: bool,
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
    /// True where the last attempt is the reason for the stage.
    has_reason: bool,
    lane: &'static str,
    /// `None` where the viewer may not see them.
    headers: Option<Headers>,
    /// Likewise.
    content: Option<Content>,
    /// The changes that make sense now.
    changes: Vec<&'static str>,
}

/// The people and the subject.
#[derive(Serialize)]
pub(super) struct Headers {
    from: String,
    pub(super) to: String,
    pub(super) subject: String,
    tags: Vec<String>,
}

/// The content.
#[derive(Serialize)]
struct Content {
    text: Option<String>,
    has_html: bool,
    /// False once retention has taken it.
    is_kept: bool,
    attachments: Vec<FileView>,
}

/// A file of a message.
#[derive(Serialize)]
struct FileView {
    id: String,
    name: String,
    size: String,
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

impl View {
    /// A message as it stands now, with as much of its content as the viewer may see.
    pub(super) fn of(record: &Record, shown: ShownContent, may_change: bool, now: OffsetDateTime) -> Self {
        let delivery = &record.delivery;
        let (status, stage) = (delivery.status, Stage::of(record, now));
        let next = (status == Status::Queued && stage != Stage::Scheduled).then_some(record.due_at);
        let moment = |time| Moment::of(time, now);
        let shows_headers = shown >= ShownContent::Headers;
        Self {
            id: record.id.to_string(),
            stage: stage.word(),
            tone: stage.tone(),
            is_due: status == Status::Sending || record.due_at <= now,
            refresh: stage.refresh(record.due_at, now),
            is_final: status.is_final(),
            created: moment(record.created_at),
            scheduled: record.scheduled_at.map(moment),
            next: next.filter(|_| stage == Stage::Retrying).map(moment),
            finished: record.finished_at.map(moment),
            recipients: recipients(record, shows_headers),
            attempts: attempts(record, shows_headers, now),
            has_reason: stage == Stage::Retrying || matches!(status, Status::Failed | Status::Unknown),
            lane: record.lane.as_str(),
            headers: shows_headers.then(|| Headers::of(record)),
            content: (shown == ShownContent::Full).then(|| Content::of(record)),
            changes: if may_change { changes(record) } else { Vec::new() },
        }
    }
}

/// The changes that the store would make. One that is queued and due is tried at once anyway.
fn changes(record: &Record) -> Vec<&'static str> {
    match record.delivery.status {
        Status::Queued => vec!["retry", "reschedule", "cancel"],
        Status::Failed | Status::Unknown if record.raw.is_some() => vec!["retry"],
        _ => Vec::new(),
    }
}

impl Headers {
    /// Those of a message.
    pub(super) fn of(record: &Record) -> Self {
        let people = &record.summary.people;
        let to = people.to.iter().chain(&people.cc).chain(&people.bcc).map(ToString::to_string);
        Self {
            from: people.from.to_string(),
            to: to.collect::<Vec<_>>().join(", "),
            subject: record.summary.subject.clone(),
            tags: record.summary.tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect(),
        }
    }
}

/// A size in the largest unit that leaves a whole number.
fn size(octets: u64) -> String {
    match octets {
        0..1024 => format!("{octets} B"),
        1024..1_048_576 => format!("{} KiB", octets / 1024),
        _ => format!("{} MiB", octets / 1_048_576),
    }
}

impl Content {
    fn of(record: &Record) -> Self {
        let file = |(n, file): (usize, &AttachmentSummary)| FileView {
            id: part_id(record.id, n),
            name: file.filename.clone(),
            size: size(file.size),
        };
        Self {
            text: record.text.clone(),
            has_html: record.html.is_some(),
            is_kept: record.raw.is_some(),
            attachments: record.summary.attachments.iter().enumerate().map(file).collect(),
        }
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

fn attempts(record: &Record, content: bool, now: OffsetDateTime) -> Vec<AttemptView> {
    let attempts = record.delivery.attempts.iter().map(|attempt| {
        let (code, text) = told(attempt.reply.as_ref(), content);
        AttemptView {
            number: attempt.attempt,
            started: Moment::of(attempt.started_at, now),
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
