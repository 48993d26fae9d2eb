//! Reading one message back with its bodies.

use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::super::bodies::BodyColumns;
use super::delivery::{DeliveryColumns, DeliveryRow, delivery_columns};
use super::error::Failure;
use super::record::{BodyRow, BodyTypes, RecordColumns, RecordRow, record_columns};
use super::session::Session;
use super::statement::statement;
use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::store::StoreError;
use crate::domain::id::MessageId;
use crate::domain::record::Record;

statement! {
    /// One message with its bodies.
    GetRecord { id: SqlUuid => Uuid, tenant: Nullable<Text> => Option<String> }
        -> (RecordColumns, DeliveryColumns, BodyTypes) = concat!(
        "SELECT ", record_columns!(), ", ", delivery_columns!(), ", e.body_text, e.body_html, e.raw, e.line_ends
        FROM emails e JOIN deliveries d ON d.email_id = e.id
        WHERE e.id = ? AND e.tenant = COALESCE(?, e.tenant)")
}

/// The most octets of a rendered message whose text is read on the runtime's threads.
const INLINE_LIMIT: usize = 256 << 10;

/// One message with everything that is known of it.
pub(super) async fn get(
    connection: &mut Session,
    tenant: Option<String>,
    id: MessageId,
) -> Result<Option<Record>, Failure> {
    let rows: Vec<(RecordRow, DeliveryRow, BodyRow)> =
        GetRecord { id: id.as_uuid(), tenant }.load(connection).await?;
    let Some((row, state, bodies)) = rows.into_iter().next() else { return Ok(None) };
    let bodies = BodyColumns::from(bodies);
    let is_large = bodies.octets() > INLINE_LIMIT;
    let record = move || row.into_record(state, bodies);
    if !is_large {
        return Ok(Some(record()?));
    }
    let read = tokio::task::spawn_blocking(record).await;
    Ok(Some(read.map_err(|error| StoreError::Unavailable(ErrorDetail::of(error)))??))
}
