//! Rows as they are read.

use diesel::deserialize::Queryable;
use diesel::sql_types::{Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use time::OffsetDateTime;
use uuid::Uuid;

use super::json::Json;
use crate::contracts::store::StoreError;
use crate::domain::attachment::AttachmentSummary;
use crate::domain::attempt::Attempt;
use crate::domain::delivery::Delivery;
use crate::domain::header::Header;
use crate::domain::message::Tag;
use crate::domain::recipient::Recipient;
use crate::record::{People, Record, Summary};

/// The columns of a [`StateRow`], in its order.
macro_rules! state_columns {
    () => {
        "d.status, d.attempt, d.lost_leases, d.dot_allowed, d.recipients, d.attempts"
    };
}
pub(super) use state_columns;

/// Their types.
pub(super) type StateColumns = (Text, Integer, Integer, Bool, Jsonb, Jsonb);

/// A delivery's state.
#[derive(Queryable)]
pub(super) struct StateRow {
    status: String,
    attempt: i32,
    lost_leases: i32,
    dot_allowed: bool,
    recipients: Json<Vec<Recipient>>,
    attempts: Json<Vec<Attempt>>,
}

impl TryFrom<StateRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: StateRow) -> Result<Self, Self::Error> {
        Ok(Self {
            status: row.status.parse().map_err(StoreError::Unreadable)?,
            attempt: row.attempt.unsigned_abs(),
            lost_leases: row.lost_leases.unsigned_abs(),
            dot_allowed: row.dot_allowed,
            recipients: row.recipients.0,
            attempts: row.attempts.0,
        })
    }
}

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
    people: Json<People>,
    headers: Json<Vec<Header>>,
    tags: Json<Vec<Tag>>,
    attachments: Json<Vec<AttachmentSummary>>,
    lane: String,
    due_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
}

/// A message's bodies.
pub(super) type Bodies = (Option<String>, Option<String>, Option<Vec<u8>>);

impl RecordRow {
    /// The record with its state, and its bodies if they were read.
    pub(super) fn into_record(self, state: StateRow, bodies: Bodies) -> Result<Record, StoreError> {
        let (text, html, raw) = bodies;
        Ok(Record {
            id: self.id.into(),
            tenant: self.tenant,
            created_at: self.created_at,
            scheduled_at: self.scheduled_at,
            summary: Summary {
                subject: self.subject,
                people: self.people.0,
                headers: self.headers.0,
                tags: self.tags.0,
                attachments: self.attachments.0,
            },
            text,
            html,
            raw,
            lane: self.lane.parse().map_err(StoreError::Unreadable)?,
            due_at: self.due_at,
            finished_at: self.finished_at,
            delivery: state.try_into()?,
        })
    }
}
