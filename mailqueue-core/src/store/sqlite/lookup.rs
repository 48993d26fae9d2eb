//! Finding messages again.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::delivery::DeliveryRow;
use super::error::outcome;
use super::job::Transaction;
use super::json;
use super::statement::Statement;
use super::time::{Micros, time};
use crate::contracts::store::StoreError;
use crate::contracts::store::{Cursor, Filter, Listed, Page};
use crate::domain::address::Address;
use crate::domain::id::MessageId;
use crate::domain::record::{Outline, Record, Summary};
use crate::domain::status::Status;

const COLUMNS: &str =
    "SELECT d.*, e.tenant, e.created_at, COALESCE(d.rescheduled_at, e.scheduled_at) AS scheduled_at,
    e.subject, e.people, e.headers, e.tags, e.attachments";
const WITH_BODIES: &str = ", e.body_text, e.body_html, e.raw";
const WITHOUT_BODIES: &str = ", NULL AS body_text, NULL AS body_html, NULL AS raw";
const TABLES: &str = " FROM emails e JOIN deliveries d ON d.email_id = e.id WHERE TRUE";
const BY_ID: &str = " AND e.id = ?";
const BY_TENANT: &str = " AND e.tenant = ?";
const BY_STATUS: &str = " AND d.status = ?";
const BY_RECIPIENT: &str =
    " AND EXISTS (SELECT 1 FROM json_each(d.recipients) r WHERE r.value ->> '$.address' = ?)";
const BY_SUBJECT: &str = " AND contains_folded(e.subject, ?)";
const OLDER: &str = " AND e.id < ?";
const NEWER: &str = " AND e.id > ?";
const NEWEST_FIRST: &str = " ORDER BY e.id DESC LIMIT ?";
const OLDEST_FIRST: &str = " ORDER BY e.id LIMIT ?";

#[derive(QueryableByName)]
struct RecordRow {
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
}

impl RecordRow {
    /// The record, or what can be said of it in any case.
    fn listed(self) -> Result<Listed, StoreError> {
        let row = &self.delivery;
        let outline = Outline {
            id: row.id()?,
            created_at: time(self.created_at)?,
            subject: self.subject.clone(),
            status: row.status().unwrap_or(Status::Unknown),
            lane: row.lane().unwrap_or_default(),
            due_at: time(row.due_at)?,
        };
        Ok(self.record().map_err(|error| (outline, error)))
    }

    fn record(self) -> Result<Record, StoreError> {
        let row = self.delivery;
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
            text: self.body_text,
            html: self.body_html,
            raw: self.raw,
            lane: row.lane()?,
            due_at: time(row.due_at)?,
            finished_at: row.finished_at.map(time).transpose()?,
            delivery: row.delivery()?,
        })
    }
}

/// One message with its bodies.
pub(super) fn get(
    transaction: &mut Transaction<'_>,
    tenant: Option<&str>,
    id: MessageId,
) -> Result<Option<Record>, StoreError> {
    let mut select = Statement::new(COLUMNS).push(WITH_BODIES).push(TABLES).push(BY_ID).bind(id);
    if let Some(tenant) = tenant {
        select = select.push(BY_TENANT).bind(tenant);
    }
    let row: Option<RecordRow> = select.get_result(transaction.connection).optional().map_err(outcome)?;
    row.map(RecordRow::record).transpose()
}

/// A page of messages.
pub(super) fn list(transaction: &mut Transaction<'_>, filter: &Filter) -> Result<Page, StoreError> {
    let Some(select) = filtered(filter) else { return Ok(Page { records: Vec::new(), has_more: false }) };
    let (select, newer) = match filter.cursor {
        Cursor::Newest => (select.push(NEWEST_FIRST), false),
        Cursor::After(id) => (select.push(OLDER).bind(id).push(NEWEST_FIRST), false),
        Cursor::Before(id) => (select.push(NEWER).bind(id).push(OLDEST_FIRST), true),
    };
    let one_more = filter.limit.saturating_add(1);
    let mut rows: Vec<RecordRow> = select.bind(one_more).load(transaction.connection).map_err(outcome)?;
    let has_more = rows.len() > filter.limit;
    rows.truncate(filter.limit);
    if newer {
        rows.reverse();
    }
    Ok(Page { records: rows.into_iter().map(RecordRow::listed).collect::<Result<_, _>>()?, has_more })
}

/// All messages a filter asks for; `None` when there can be none.
fn filtered(filter: &Filter) -> Option<Statement<'_>> {
    let mut select = Statement::new(COLUMNS).push(WITHOUT_BODIES).push(TABLES);
    if let Some(tenant) = &filter.tenant {
        select = select.push(BY_TENANT).bind(tenant.as_str());
    }
    if let Some(status) = filter.status {
        select = select.push(BY_STATUS).bind(status.as_str());
    }
    if let Some(to) = &filter.to {
        // As it is kept: the domain in lower case, as A-labels.
        let address: Address = to.parse().ok()?;
        select = select.push(BY_RECIPIENT).bind(String::from(address));
    }
    if let Some(subject) = &filter.subject {
        select = select.push(BY_SUBJECT).bind(subject.to_lowercase());
    }
    Some(select)
}
