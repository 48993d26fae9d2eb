//! Reading one message back with its bodies.

use diesel::prelude::*;

use super::error::outcome;
use super::job::Transaction;
use super::record::RecordRow;
use super::statement::sql;
use crate::contracts::store::StoreError;
use crate::domain::id::MessageId;
use crate::domain::record::Record;

/// The columns of a record but for its bodies.
pub(super) const COLUMNS: &str =
    "SELECT d.*, e.tenant, e.created_at, COALESCE(d.rescheduled_at, e.scheduled_at) AS scheduled_at,
    e.subject, e.people, e.headers, e.tags, e.attachments";
pub(super) const TABLES: &str = " FROM emails e JOIN deliveries d ON d.email_id = e.id WHERE TRUE";
pub(super) const BY_TENANT: &str = " AND e.tenant = ?";
const BODIES: &str = ", e.body_text, e.body_html, e.raw, e.line_ends";
const BY_ID: &str = " AND e.id = ?";

/// One message with its bodies.
pub(super) fn get(
    transaction: &mut Transaction<'_>,
    tenant: Option<&str>,
    id: MessageId,
) -> Result<Option<Record>, StoreError> {
    let mut select = sql!(COLUMNS).then(sql!(BODIES)).then(sql!(TABLES)).then(sql!(BY_ID, id));
    if let Some(tenant) = tenant {
        select = select.then(sql!(BY_TENANT, tenant));
    }
    let row: Option<RecordRow> = select.get_result(transaction.connection).optional().map_err(outcome)?;
    row.map(RecordRow::record).transpose()
}
