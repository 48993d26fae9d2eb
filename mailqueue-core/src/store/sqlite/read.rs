//! Reading messages back: one with its bodies, or a page.

use diesel::prelude::*;

use super::error::outcome;
use super::job::Transaction;
use super::record::RecordRow;
use super::statement::Statement;
use crate::contracts::store::{Cursor, Filter, Page, StoreError};
use crate::domain::address::Address;
use crate::domain::id::MessageId;
use crate::domain::record::Record;

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
    let select = match filter.cursor {
        Cursor::Newest => select.push(NEWEST_FIRST),
        Cursor::After(id) => select.push(OLDER).bind(id).push(NEWEST_FIRST),
        Cursor::Before(id) => select.push(NEWER).bind(id).push(OLDEST_FIRST),
    };
    let select = select.bind(Page::rows_for(filter.limit));
    let rows: Vec<RecordRow> = select.load(transaction.connection).map_err(outcome)?;
    Page::from_rows(rows, filter.cursor, filter.limit, RecordRow::listed)
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
