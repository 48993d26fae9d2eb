//! Reading messages back: one with its bodies, or a page.

use diesel::prelude::*;

use super::error::outcome;
use super::job::Transaction;
use super::record::RecordRow;
use super::statement::{Statement, sql};
use crate::contracts::store::{Cursor, Filter, Page, StoreError};
use crate::domain::address::Address;
use crate::domain::id::MessageId;
use crate::domain::record::Record;

const COLUMNS: &str =
    "SELECT d.*, e.tenant, e.created_at, COALESCE(d.rescheduled_at, e.scheduled_at) AS scheduled_at,
    e.subject, e.people, e.headers, e.tags, e.attachments";
const WITH_BODIES: &str = ", e.body_text, e.body_html, e.raw, e.line_ends";
const WITHOUT_BODIES: &str = ", NULL AS body_text, NULL AS body_html, NULL AS raw, NULL AS line_ends";
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

/// One message with its bodies.
pub(super) fn get(
    transaction: &mut Transaction<'_>,
    tenant: Option<&str>,
    id: MessageId,
) -> Result<Option<Record>, StoreError> {
    let mut select = sql!(COLUMNS).then(sql!(WITH_BODIES)).then(sql!(TABLES)).then(sql!(BY_ID, id));
    if let Some(tenant) = tenant {
        select = select.then(sql!(BY_TENANT, tenant));
    }
    let row: Option<RecordRow> = select.get_result(transaction.connection).optional().map_err(outcome)?;
    row.map(RecordRow::record).transpose()
}

/// A page of messages.
pub(super) fn list(transaction: &mut Transaction<'_>, filter: &Filter) -> Result<Page, StoreError> {
    let Some(select) = filtered(filter) else { return Ok(Page { records: Vec::new(), has_more: false }) };
    let limit = Page::rows_for(filter.limit);
    let select = match filter.cursor {
        Cursor::Newest => select.then(sql!(NEWEST_FIRST, limit)),
        Cursor::After(id) => select.then(sql!(OLDER, id)).then(sql!(NEWEST_FIRST, limit)),
        Cursor::Before(id) => select.then(sql!(NEWER, id)).then(sql!(OLDEST_FIRST, limit)),
    };
    let rows: Vec<RecordRow> = select.load(transaction.connection).map_err(outcome)?;
    Page::from_rows(rows, filter.cursor, filter.limit, RecordRow::listed)
}

/// All messages a filter asks for; `None` when there can be none.
fn filtered(filter: &Filter) -> Option<Statement<'_>> {
    let mut select = sql!(COLUMNS).then(sql!(WITHOUT_BODIES)).then(sql!(TABLES));
    if let Some(tenant) = &filter.tenant {
        select = select.then(sql!(BY_TENANT, tenant.as_str()));
    }
    if let Some(status) = filter.status {
        select = select.then(sql!(BY_STATUS, status.as_str()));
    }
    if let Some(to) = &filter.to {
        // As it is kept: the domain in lower case, as A-labels.
        let address: Address = to.parse().ok()?;
        select = select.then(sql!(BY_RECIPIENT, String::from(address)));
    }
    if let Some(subject) = &filter.subject {
        select = select.then(sql!(BY_SUBJECT, subject.to_lowercase()));
    }
    Some(select)
}
