//! The record of a message, as its columns are read.

use diesel::deserialize::Queryable;
use diesel::sql_types::{Binary, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::bodies::BodyColumns;
use super::super::unreadable;
use super::delivery::DeliveryRow;
use super::json::Read;
use crate::contracts::store::StoreError;
use crate::domain::attachment::AttachmentSummary;
use crate::domain::header::Header;
use crate::domain::message::Tag;
use crate::domain::record::{PartialRecord, Participants, Record, Summary};
use crate::domain::rendered_text::Bodies;

/// The columns of a [`RecordRow`] but for its state, in its order.
macro_rules! record_columns {
    () => {
        "e.id, e.tenant, e.created_at, COALESCE(d.rescheduled_at, e.scheduled_at), e.subject, e.people, e.headers, \
         e.tags, e.attachments, d.lane, d.due_at, d.finished_at"
    };
}
pub(super) use record_columns;

/// Their types.
pub(super) type RecordColumns = (
    SqlUuid,
    Text,
    Timestamptz,
    Nullable<Timestamptz>,
    Text,
    Jsonb,
    Jsonb,
    Jsonb,
    Jsonb,
    Text,
    Timestamptz,
    Nullable<Timestamptz>,
);

/// A message without bodies and state.
#[derive(Queryable)]
pub(super) struct RecordRow {
    id: Uuid,
    tenant: String,
    created_at: OffsetDateTime,
    scheduled_at: Option<OffsetDateTime>,
    subject: String,
    people: Read<Participants>,
    headers: Read<Vec<Header>>,
    tags: Read<Vec<Tag>>,
    attachments: Read<Vec<AttachmentSummary>>,
    lane: String,
    due_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
}

/// The types of the columns of a [`BodyRow`].
pub(super) type BodyTypes = (Nullable<Text>, Nullable<Text>, Nullable<Binary>, Nullable<Text>);

/// A message's bodies.
#[derive(Queryable)]
pub(super) struct BodyRow {
    text: Option<String>,
    html: Option<String>,
    raw: Option<Vec<u8>>,
    line_ends: Option<String>,
}

impl From<BodyRow> for BodyColumns {
    fn from(BodyRow { text, html, raw, line_ends }: BodyRow) -> Self {
        Self { kept_apart: Bodies { text, html }, raw, line_ends }
    }
}

impl RecordRow {
    /// The columns that can always be read.
    pub(super) fn partial(&self, state: &DeliveryRow) -> PartialRecord {
        PartialRecord {
            id: self.id.into(),
            created_at: self.created_at,
            subject: self.subject.clone(),
            status: state.status(),
            // A partial record exists for every row, so an unreadable lane is shown as the default.
            lane: self.lane.parse().unwrap_or_default(),
            due_at: self.due_at,
        }
    }

    /// The record with its state, and its bodies if they were read.
    pub(super) fn into_record(self, state: DeliveryRow, bodies: BodyColumns) -> Result<Record, StoreError> {
        let (Bodies { text, html }, raw) = bodies.read()?;
        Ok(Record {
            id: self.id.into(),
            tenant: self.tenant,
            created_at: self.created_at,
            scheduled_at: self.scheduled_at,
            summary: Summary {
                subject: self.subject,
                people: self.people.of("people")?,
                headers: self.headers.of("headers")?,
                tags: self.tags.of("tags")?,
                attachments: self.attachments.of("attachments")?,
            },
            text,
            html,
            raw,
            lane: self.lane.parse().map_err(unreadable::value)?,
            due_at: self.due_at,
            finished_at: self.finished_at,
            delivery: state.try_into()?,
        })
    }
}
