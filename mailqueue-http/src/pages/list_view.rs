//! A list of messages as its page shows it.

use mailqueue_core::Status;
use mailqueue_core::contracts::store::Listed;
use mailqueue_core::domain::record::Record;
use mailqueue_core::outbox::Found;
use serde::Serialize;
use time::OffsetDateTime;

use super::message_view::Headers;
use super::moment::Moment;
use super::stage::Stage;
use crate::shown_content::ShownContent;

/// A list on its page.
#[derive(Serialize)]
pub(super) struct ListView {
    lines: Vec<Line>,
    /// The id that the page of older messages begins after; `None` on the last page.
    older: Option<String>,
    /// True on the page of the newest messages.
    is_first: bool,
    /// The time back to which the search has come, where it may find more.
    searched_to: Option<Moment>,
    statuses: [&'static str; 6],
}

/// A message in the list.
#[derive(Serialize)]
pub(super) struct Line {
    id: String,
    /// `None` where the viewer may not see it.
    subject: Option<String>,
    /// Likewise.
    to: Option<String>,
    stage: &'static str,
    tone: &'static str,
    created: Moment,
    /// The time it is due, where it waits for one.
    next: Option<Moment>,
}

impl ListView {
    /// A page as it stands now, with as much of the content as the viewer may see; `is_full` where it has as many
    /// messages as it can.
    pub(super) fn of(
        found: &Found,
        is_first: bool,
        is_full: bool,
        shown: ShownContent,
        now: OffsetDateTime,
    ) -> Self {
        // A page that is not full ends where the search has come to.
        let searched_to = found.next.filter(|_| !is_full).and_then(|id| id.made_at());
        Self {
            lines: found.records.iter().map(|listed| Line::of(listed, shown, now)).collect(),
            older: found.next.map(|id| id.to_string()),
            is_first,
            searched_to: searched_to.map(|time| Moment::of(time, now)),
            statuses: Status::ALL.map(Status::as_str),
        }
    }
}

impl Line {
    /// A message as it stands now, with as much of its content as the viewer may see.
    pub(super) fn of(listed: &Listed, shown: ShownContent, now: OffsetDateTime) -> Self {
        match listed {
            Ok(record) => Self::read(record, shown, now),
            Err((partial, _)) => Self {
                id: partial.id.to_string(),
                subject: (shown >= ShownContent::Headers).then(|| partial.subject.clone()),
                to: None,
                stage: "unreadable",
                tone: "bad",
                created: Moment::of(partial.created_at, now),
                next: None,
            },
        }
    }

    fn read(record: &Record, shown: ShownContent, now: OffsetDateTime) -> Self {
        let headers = (shown >= ShownContent::Headers).then(|| Headers::of(record));
        let (subject, to) = headers.map(|headers| (headers.subject, headers.to)).unzip();
        let stage = Stage::of(record, now);
        let waits = matches!(stage, Stage::Scheduled | Stage::Retrying);
        Self {
            id: record.id.to_string(),
            subject,
            to,
            stage: stage.word(),
            tone: stage.tone(),
            created: Moment::of(record.created_at, now),
            next: waits.then(|| Moment::of(record.due_at, now)),
        }
    }
}
