//! Reading messages back, and doing what a person asks for.

use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::{Bodies, RecordColumns, RecordRow, StateColumns, StateRow, record_columns, state_columns};
use super::session::Session;
use super::statement::statement;
use super::{Failure, state};
use crate::contracts::queue::Entry;
use crate::contracts::store::{Change, Changed};
use crate::contracts::store::{Cursor, Filter, Page};
use crate::domain::address::Address;
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::record::Record;
use crate::domain::transition::{DeliveryPolicy, decide};

statement! {
    /// One message with its bodies.
    GetRecord { id: SqlUuid => Uuid, tenant: Nullable<Text> => Option<String> }
        -> (RecordColumns, StateColumns, (Nullable<Text>, Nullable<Text>, Nullable<Binary>)) = concat!(
        "SELECT ", record_columns!(), ", ", state_columns!(), ", e.body_text, e.body_html, e.raw
        FROM emails e JOIN deliveries d ON d.email_id = e.id
        WHERE e.id = ? AND e.tenant = COALESCE(?, e.tenant)")
}

/// One message with everything that is known of it.
pub(super) async fn get(
    connection: &mut Session,
    tenant: Option<String>,
    id: MessageId,
) -> Result<Option<Record>, Failure> {
    let rows: Vec<(RecordRow, StateRow, Bodies)> =
        GetRecord { id: id.as_uuid(), tenant }.load(connection).await?;
    let record = rows.into_iter().next().map(|(row, state, bodies)| row.into_record(state, bodies));
    Ok(record.transpose()?)
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
            } -> (RecordColumns, StateColumns) = concat!(
                "WITH asked AS (SELECT ?::text AS tenant, ?::uuid AS cursor, ?::text AS status,
                    ?::text AS recipient, ?::text AS subject)
                SELECT ", record_columns!(), ", ", state_columns!(), "
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
    let (cursor, newer) = match filter.cursor {
        Cursor::Newest => (None, false),
        Cursor::After(id) => (Some(id.as_uuid()), false),
        Cursor::Before(id) => (Some(id.as_uuid()), true),
    };
    let status = filter.status.map(|status| status.as_str());
    let (tenant, subject) = (filter.tenant, filter.subject);
    // Kept with its domain in lower case and as A-labels, so it is looked for like that.
    let recipient = filter.to.map(|to| to.parse::<Address>().map_or(to, Into::into));
    // One more than asked for tells whether more follow.
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX - 1) + 1;
    let mut rows: Vec<(RecordRow, StateRow)> = if newer {
        ListNewer { tenant, cursor, status, recipient, subject, limit }.load(connection).await?
    } else {
        ListOlder { tenant, cursor, status, recipient, subject, limit }.load(connection).await?
    };
    let has_more = rows.len() > filter.limit;
    rows.truncate(filter.limit);
    if newer {
        rows.reverse();
    }
    let records = rows.into_iter().map(|(row, state)| {
        let outline = row.outline(&state);
        row.into_record(state, (None, None, None)).map_err(|error| (outline, error))
    });
    Ok(Page { records: records.collect(), has_more })
}

statement! {
    /// One row's state with what an change needs to know, locked until the transaction ends.
    LockForAmendment { id: SqlUuid => Uuid, tenant: Nullable<Text> => Option<String> }
        -> (Text, Timestamptz, Bool, StateColumns) = concat!("
        SELECT d.lane, d.due_at, d.has_content, ", state_columns!(), "
        FROM deliveries d JOIN emails e ON e.id = d.email_id
        WHERE d.email_id = ? AND e.tenant = COALESCE(?, e.tenant)
        FOR UPDATE OF d")
}

/// Does what a person asks for, if the state allows it.
pub(super) async fn change(
    connection: &mut Session,
    tenant: Option<String>,
    id: MessageId,
    change: Change,
) -> Result<Changed, Failure> {
    connection
        .transaction(async move |connection| {
            let statement = LockForAmendment { id: id.as_uuid(), tenant };
            let rows: Vec<(String, OffsetDateTime, bool, StateRow)> = statement.load(connection).await?;
            let Some((lane, due_at, has_content, state)) = rows.into_iter().next() else {
                return Ok(Changed::NotFound);
            };
            let delivery = Delivery::try_from(state)?;
            // No policy bears on a person's wish; and a message whose content is pruned cannot be sent any more.
            let decided = decide(&delivery, &change.event(), &DeliveryPolicy::default());
            let Some(transition) = decided.ok().filter(|_| has_content) else {
                return Ok(Changed::NotAllowed(delivery.status));
            };
            let status = transition.delivery.status;
            let written = state::write(connection, vec![state::NewState::locked(id, transition)]).await?;
            let due_at = written.into_iter().next().map_or(due_at, |(_, due_at)| due_at);
            let lane = lane.parse().map_err(Failure::unreadable)?;
            Ok(Changed::Done { status, entry: Entry { lane, due_at, id } })
        })
        .await
}
