//! The record of a message, as its columns are read.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::super::bodies::BodyColumns;
use super::delivery::DeliveryRow;
use super::json;
use super::time::{Micros, time};
use crate::contracts::store::{Listed, StoreError};
use crate::domain::record::{PartialRecord, Record, Summary};
use crate::domain::rendered_text::Bodies;
use crate::domain::status::Status;

/// A message with its delivery.
#[derive(QueryableByName)]
pub(super) struct RecordRow {
    #[diesel(embed)]
    delivery: DeliveryRow,
    #[diesel(sql_type = Text)]
    tenant: String,
    #[diesel(sql_type = BigInt)]
    created_at: Micros,
    #[diesel(sql_type = Nullable<BigInt>)]
    scheduled_at: Option<Micros>,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Text)]
    people: String,
    #[diesel(sql_type = Text)]
    headers: String,
    #[diesel(sql_type = Text)]
    tags: String,
    #[diesel(sql_type = Text)]
    attachments: String,
    #[diesel(sql_type = Nullable<Text>)]
    body_text: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    body_html: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    raw: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    line_ends: Option<String>,
}

impl RecordRow {
    /// The record, or what can be said of it in any case.
    pub(super) fn listed(self) -> Result<Listed, StoreError> {
        let row = &self.delivery;
        let partial = PartialRecord {
            id: row.id()?,
            created_at: time(self.created_at)?,
            subject: self.subject.clone(),
            status: row.status().unwrap_or(Status::Unknown),
            // A partial record exists for every row, so an unreadable lane is shown as the default.
            lane: row.lane().unwrap_or_default(),
            due_at: time(row.due_at)?,
        };
        Ok(self.record().map_err(|error| (partial, error)))
    }

    /// The record, or why it cannot be read.
    pub(super) fn record(self) -> Result<Record, StoreError> {
        let row = self.delivery;
        let kept_apart = Bodies { text: self.body_text, html: self.body_html };
        let bodies = BodyColumns { kept_apart, raw: self.raw, line_ends: self.line_ends };
        let (Bodies { text, html }, raw) = bodies.read()?;
        Ok(Record {
            id: row.id()?,
            tenant: self.tenant,
            created_at: time(self.created_at)?,
            scheduled_at: self.scheduled_at.map(time).transpose()?,
            summary: Summary {
                subject: self.subject,
                people: json::read("emails.people", &self.people)?,
                headers: json::read("emails.headers", &self.headers)?,
                tags: json::read("emails.tags", &self.tags)?,
                attachments: json::read("emails.attachments", &self.attachments)?,
            },
            text,
            html,
            raw,
            lane: row.lane()?,
            due_at: time(row.due_at)?,
            finished_at: row.finished_at.map(time).transpose()?,
            delivery: row.delivery()?,
        })
    }
}
