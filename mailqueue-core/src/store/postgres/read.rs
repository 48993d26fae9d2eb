//! Reading messages back: one with its bodies, or a page.

use diesel::sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::super::bodies::BodyColumns;
use super::delivery::{DeliveryColumns, DeliveryRow, delivery_columns};
use super::error::Failure;
use super::record::{BodyRow, BodyTypes, RecordColumns, RecordRow, record_columns};
use super::session::Session;
use super::statement::{rows, statement};
use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::store::{Cursor, Filter, Page, StoreError};
use crate::domain::address::Address;
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

/// Lists messages in one direction of their ids. `$order` and `$than` differ between the two.
macro_rules! list {
    ($name:ident, $than:literal, $order:literal) => {
        statement! {
            /// A page of messages.
            $name {
                tenant: Nullable<Text> => Option<String>,
                cursor: Nullable<SqlUuid> => Option<Uuid>,
                status: Nullable<Text> => Option<&'static str>,
                recipient: Nullable<Text> => Option<String>,
                subject: Nullable<Text> => Option<String>,
                limit: BigInt => i64,
            } -> (RecordColumns, DeliveryColumns) = concat!(
                // A table of one row gives each bind a name: most are used twice, and a `?` cannot be repeated.
                "WITH asked AS (SELECT ?::text AS tenant, ?::uuid AS cursor, ?::text AS status,
                    ?::text AS recipient, ?::text AS subject)
                SELECT ", record_columns!(), ", ", delivery_columns!(), "
                FROM asked CROSS JOIN emails e JOIN deliveries d ON d.email_id = e.id
                WHERE (asked.tenant IS NULL OR e.tenant = asked.tenant)
                  AND (asked.cursor IS NULL OR e.id ", $than, " asked.cursor)
                  AND (asked.status IS NULL OR d.status = asked.status)
                  AND (asked.recipient IS NULL OR d.recipients @>
                       jsonb_build_array(jsonb_build_object('address', asked.recipient)))
                  AND (asked.subject IS NULL OR strpos(lower(e.subject), lower(asked.subject)) > 0)
                ORDER BY e.id ", $order, " LIMIT ?")
        }
    };
}

list!(ListOlder, "<", "DESC");
list!(ListNewer, ">", "ASC");

/// A page of messages, newest first.
pub(super) async fn list(connection: &mut Session, filter: Filter) -> Result<Page, Failure> {
    let cursor = match filter.cursor {
        Cursor::Newest => None,
        Cursor::After(id) | Cursor::Before(id) => Some(id.as_uuid()),
    };
    let status = filter.status.map(|status| status.as_str());
    let (tenant, subject) = (filter.tenant, filter.subject);
    // Kept with its domain in lower case and as A-labels, so it is looked for like that.
    let recipient = filter.to.map(|to| to.parse::<Address>().map_or(to, Into::into));
    let limit = rows(Page::rows_for(filter.limit));
    let found: Vec<(RecordRow, DeliveryRow)> = if filter.cursor.is_backwards() {
        ListNewer { tenant, cursor, status, recipient, subject, limit }.load(connection).await?
    } else {
        ListOlder { tenant, cursor, status, recipient, subject, limit }.load(connection).await?
    };
    Page::from_rows(found, filter.cursor, filter.limit, |(row, state)| {
        let partial = row.partial(&state);
        Ok(row.into_record(state, BodyColumns::default()).map_err(|error| (partial, error)))
    })
}
