//! A message, as commands show it.

use mailqueue_core::Record;
use mailqueue_core::contracts::store::Listed;
use mailqueue_core::domain::attempt::Attempt;
use mailqueue_core::domain::message::Tag;
use mailqueue_core::domain::reason::Reason;
use mailqueue_core::domain::recipient::Recipient;
use mailqueue_core::domain::record::Participants;
use serde::Serialize;

use super::output::instant;

/// A message for programs.
#[derive(Debug, Serialize)]
pub(crate) struct View<'a> {
    id: String,
    tenant: &'a str,
    status: &'static str,
    lane: &'static str,
    created_at: String,
    due_at: String,
    scheduled_at: Option<String>,
    finished_at: Option<String>,
    #[serde(flatten)]
    people: &'a Participants,
    subject: &'a str,
    tags: &'a [Tag],
    attempt: u32,
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<&'a [Recipient]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<&'a [Attempt]>,
}

impl<'a> View<'a> {
    /// A message in a list.
    pub(crate) fn short(record: &'a Record) -> Self {
        Self {
            id: record.id.to_string(),
            tenant: &record.tenant,
            status: record.delivery.status.as_str(),
            lane: record.lane.as_str(),
            created_at: instant(record.created_at),
            due_at: instant(record.due_at),
            scheduled_at: record.scheduled_at.map(instant),
            finished_at: record.finished_at.map(instant),
            people: &record.summary.people,
            subject: &record.summary.subject,
            tags: &record.summary.tags,
            attempt: record.delivery.attempt,
            reason: reason(record),
            recipients: None,
            attempts: None,
        }
    }

    /// A message with everything that became of it.
    pub(crate) fn full(record: &'a Record) -> Self {
        let (recipients, attempts) = (&record.delivery.recipients[..], &record.delivery.attempts[..]);
        Self { recipients: Some(recipients), attempts: Some(attempts), ..Self::short(record) }
    }
}

/// A message that this version cannot read.
#[derive(Debug, Serialize)]
pub(crate) struct Unreadable {
    id: String,
    status: &'static str,
    created_at: String,
    error: String,
}

impl Unreadable {
    /// The part of it that can be read; nothing of a readable one.
    pub(crate) fn of(listed: &Listed) -> Option<Self> {
        let (partial, error) = listed.as_ref().err()?;
        Some(Self {
            id: partial.id.to_string(),
            status: partial.status.as_str(),
            created_at: instant(partial.created_at),
            error: error.to_string(),
        })
    }
}

/// The reason why the last attempt did not succeed.
pub(crate) fn reason(record: &Record) -> Option<Reason> {
    record.delivery.attempts.last().and_then(Reason::of_attempt)
}

/// The first recipient, and how many more there are.
pub(crate) fn recipients(record: &Record) -> String {
    let people = &record.summary.people;
    let mut all = people.to.iter().chain(&people.cc).chain(&people.bcc);
    let first = all.next().map(|mailbox| mailbox.address.to_string()).unwrap_or_default();
    match all.count() {
        0 => first,
        more => format!("{first} +{more}"),
    }
}
