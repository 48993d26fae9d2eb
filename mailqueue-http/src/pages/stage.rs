//! The stage of a message in the words of the pages.

use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::status::Status;
use time::{Duration, OffsetDateTime};

/// The time before which a message that is due counts as one that is sent now.
const SOON: Duration = Duration::seconds(10);

/// The stage of a message: its status, and for one that is queued the reason for which it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for the time it was submitted for.
    Scheduled,
    /// It was tried, and will be again.
    Retrying,
    /// Anything else.
    Plain(Status),
}

impl Stage {
    /// The stage of a message now.
    pub(super) fn of(record: &Record, now: OffsetDateTime) -> Self {
        match record.delivery.status {
            Status::Queued if !record.delivery.attempts.is_empty() => Self::Retrying,
            Status::Queued if record.scheduled_at.is_some() && record.due_at > now + SOON => Self::Scheduled,
            status => Self::Plain(status),
        }
    }

    /// The word by which the texts of the pages know it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Retrying => "retrying",
            Self::Plain(status) => status.as_str(),
        }
    }

    /// The class of its colour.
    pub(super) fn tone(self) -> &'static str {
        match self {
            Self::Retrying | Self::Plain(Status::Unknown) => "doubt",
            Self::Scheduled | Self::Plain(Status::Queued | Status::Sending) => "waiting",
            Self::Plain(Status::Sent) => "good",
            Self::Plain(Status::Failed) => "bad",
            Self::Plain(Status::Cancelled) => "quiet",
        }
    }

    /// The seconds until a page without a script looks again; `None` when nothing changes any more.
    pub(super) fn refresh(self, due_at: OffsetDateTime, now: OffsetDateTime) -> Option<u32> {
        match self {
            Self::Plain(status) if status.is_final() => None,
            Self::Plain(Status::Sending) => Some(2),
            _ => Some(if due_at <= now + SOON { 2 } else { 30 }),
        }
    }
}
