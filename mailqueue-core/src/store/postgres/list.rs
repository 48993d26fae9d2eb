//! Lists of messages.
//!
//! The cost of a page does not grow with the number of messages. A status that few have and a recipient are found by an
//! index. For anything else the page looks at the next messages, a bounded number of them. The server plans each page
//! for its binds: a plan for any binds read the whole table.

use diesel::sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

use super::super::bodies::BodyColumns;
use super::delivery::{DeliveryColumns, DeliveryRow, delivery_columns};
use super::error::Failure;
use super::record::{RecordColumns, RecordRow, record_columns};
use super::session::Session;
use super::statement::{rows, statement};
use crate::contracts::store::{Cursor, Filter, Page};
use crate::domain::address::Address;
use crate::domain::id::MessageId;

/// The most messages of one recipient that a page looks at. They lie apart, and each costs a page of the table.
const SEARCHED_OF_RECIPIENT: usize = 1000;

/// The next messages in the order of their ids, as many as its bind says.
macro_rules! candidates {
    ($than:literal, $order:literal) => {
        concat!(
            " FROM asked CROSS JOIN emails e JOIN deliveries d ON d.email_id = e.id
            WHERE (asked.tenant IS NULL OR e.tenant = asked.tenant)
              AND (asked.cursor IS NULL OR e.id ",
            $than,
            " asked.cursor) AND (asked.status IS NULL OR d.status = asked.status) ORDER BY e.id ",
            $order,
            " LIMIT ?"
        )
    };
}

/// The words of a text in JSON, addresses among them. Written as the index `emails_by_recipient` has it.
macro_rules! words {
    ($text:literal) => {
        concat!("array_remove(string_to_array(translate(", $text, ", '[]<>\",', '      '), ' ', ''), NULL)")
    };
}

/// All messages with the words of a recipient's address among those of their people, which are hardly ever more than
/// the messages to that recipient.
///
/// Materialized, as the planner would rather read all messages in the order of their ids until it has a page.
macro_rules! to_recipient {
    () => {
        concat!(
            "WITH asked AS (SELECT ?::text AS recipient), found AS MATERIALIZED (
                SELECT e.id FROM asked CROSS JOIN emails e
                WHERE ",
            words!(
                "(e.people ->> 'to') || COALESCE(e.people ->> 'cc', '') || COALESCE(e.people ->> 'bcc', '')"
            ),
            " @> ",
            words!("to_jsonb(asked.recipient)::text"),
            " AND e.tenant = COALESCE(?, e.tenant)
            )"
        )
    };
}

/// Declares the statements of one direction of the ids. `$than`, `$order` and `$end` differ between the two.
macro_rules! lists {
    ($page:ident, $last:ident, $page_to:ident, $last_to:ident, $than:literal, $order:literal, $end:literal) => {
        statement! {
            planned anew
            /// A page out of the next `searched` messages.
            $page {
                tenant: Nullable<Text> => Option<String>,
                cursor: Nullable<SqlUuid> => Option<Uuid>,
                rare_status: Nullable<Text> => Option<&'static str>,
                searched: BigInt => i64,
                common_status: Nullable<Text> => Option<&'static str>,
                subject: Nullable<Text> => Option<String>,
                limit: BigInt => i64,
            } -> (RecordColumns, DeliveryColumns) = concat!(
                "WITH asked AS (SELECT ?::text AS tenant, ?::uuid AS cursor, ?::text AS status)
                SELECT s.* FROM (
                    SELECT ", record_columns!(), ", ", delivery_columns!(), candidates!($than, $order), "
                ) AS s
                WHERE s.status = COALESCE(?, s.status)
                  AND strpos(lower(s.subject), COALESCE(lower(?), '')) > 0
                ORDER BY s.id ", $order, " LIMIT ?")
        }

        statement! {
            planned anew
            /// The last of the next `searched` messages; no row when there are fewer.
            $last {
                tenant: Nullable<Text> => Option<String>,
                cursor: Nullable<SqlUuid> => Option<Uuid>,
                rare_status: Nullable<Text> => Option<&'static str>,
                one: BigInt => i64,
                before: BigInt => i64,
            } -> SqlUuid = concat!(
                "WITH asked AS (SELECT ?::text AS tenant, ?::uuid AS cursor, ?::text AS status)
                SELECT e.id", candidates!($than, $order), " OFFSET ?")
        }

        statement! {
            planned anew
            /// A page out of the next `searched` messages to a recipient.
            $page_to {
                recipient: Text => String,
                tenant: Nullable<Text> => Option<String>,
                cursor: Nullable<SqlUuid> => Option<Uuid>,
                searched: BigInt => i64,
                status: Nullable<Text> => Option<&'static str>,
                subject: Nullable<Text> => Option<String>,
                limit: BigInt => i64,
            } -> (RecordColumns, DeliveryColumns) = concat!(
                to_recipient!(),
                ", next AS (
                    SELECT id FROM found WHERE id ", $than, " COALESCE(?, ", $end, "::uuid)
                    ORDER BY id ", $order, " LIMIT ?
                )
                SELECT ", record_columns!(), ", ", delivery_columns!(), "
                FROM asked CROSS JOIN next
                JOIN emails e ON e.id = next.id JOIN deliveries d ON d.email_id = e.id
                WHERE d.recipients @> jsonb_build_array(jsonb_build_object('address', asked.recipient))
                  AND d.status = COALESCE(?, d.status)
                  AND strpos(lower(e.subject), COALESCE(lower(?), '')) > 0
                ORDER BY e.id ", $order, " LIMIT ?")
        }

        statement! {
            planned anew
            /// The last of the next `searched` messages to a recipient; no row when there are fewer.
            $last_to {
                recipient: Text => String,
                tenant: Nullable<Text> => Option<String>,
                cursor: Nullable<SqlUuid> => Option<Uuid>,
                before: BigInt => i64,
            } -> SqlUuid = concat!(
                to_recipient!(),
                " SELECT id FROM found WHERE id ", $than, " COALESCE(?, ", $end, "::uuid)
                ORDER BY id ", $order, " LIMIT 1 OFFSET ?")
        }
    };
}

lists!(ListOlder, LastOlder, ListOlderTo, LastOlderTo, "<", "DESC", "'ffffffff-ffff-ffff-ffff-ffffffffffff'");
lists!(ListNewer, LastNewer, ListNewerTo, LastNewerTo, ">", "ASC", "'00000000-0000-0000-0000-000000000000'");

type Found = Vec<(RecordRow, DeliveryRow)>;

/// A page of messages, newest first.
pub(super) async fn list(connection: &mut Session, filter: Filter) -> Result<Page, Failure> {
    let to = match &filter.to {
        None => None,
        // Kept with its domain in lower case and as A-labels, so it is looked for like that.
        Some(to) => match to.parse::<Address>() {
            Ok(address) => Some(String::from(address)),
            Err(_) => return Ok(Page::default()),
        },
    };
    let (found, last) = match to {
        None if !is_search(&filter) => among_all(connection, &filter).await?,
        to => in_snapshot(connection, to, filter.clone()).await?,
    };
    let page = Page::from_rows(found, filter.cursor, filter.limit, |(row, state)| {
        let partial = row.partial(&state);
        Ok::<_, Failure>(row.into_record(state, BodyColumns::default()).map_err(|error| (partial, error)))
    })?;
    Ok(page.searched_to(last.map(MessageId::from)))
}

/// True where a page looks at messages that it may not show.
fn is_search(filter: &Filter) -> bool {
    filter.common_status().is_some() || filter.subject.is_some()
}

/// Searches with statements that see the same messages: the place to go on from is wrong otherwise.
async fn in_snapshot(
    connection: &mut Session,
    to: Option<String>,
    filter: Filter,
) -> Result<(Found, Option<Uuid>), Failure> {
    connection
        .transaction(async move |connection| {
            connection.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
            match to {
                None => among_all(connection, &filter).await,
                Some(recipient) => among_those_to(connection, recipient, &filter).await,
            }
        })
        .await
}

fn cursor(filter: &Filter) -> Option<Uuid> {
    match filter.cursor {
        Cursor::Newest => None,
        Cursor::After(id) | Cursor::Before(id) => Some(id.as_uuid()),
    }
}

/// The rows of a page, and the last message looked at where there may be more behind it.
async fn among_all(connection: &mut Session, filter: &Filter) -> Result<(Found, Option<Uuid>), Failure> {
    let (tenant, cursor, backwards) = (filter.tenant.clone(), cursor(filter), filter.cursor.is_backwards());
    let rare_status = filter.rare_status().map(|status| status.as_str());
    let common_status = filter.common_status().map(|status| status.as_str());
    let (subject, limit) = (filter.subject.clone(), Page::rows_for(filter.limit));
    let is_search = is_search(filter);
    let most = if is_search { Filter::SEARCHED.max(limit) } else { limit };
    let (searched, limit) = (rows(most), rows(limit));
    let found: Found = if backwards {
        let page = ListNewer { tenant, cursor, rare_status, searched, common_status, subject, limit };
        page.load(connection).await?
    } else {
        let page = ListOlder { tenant, cursor, rare_status, searched, common_status, subject, limit };
        page.load(connection).await?
    };
    if !is_search || found.len() > filter.limit {
        return Ok((found, None));
    }
    let (tenant, one, before) = (filter.tenant.clone(), 1, searched - 1);
    let last: Vec<Uuid> = if backwards {
        LastNewer { tenant, cursor, rare_status, one, before }.load(connection).await?
    } else {
        LastOlder { tenant, cursor, rare_status, one, before }.load(connection).await?
    };
    Ok((found, last.into_iter().next()))
}

/// The same among the messages to a recipient.
async fn among_those_to(
    connection: &mut Session,
    recipient: String,
    filter: &Filter,
) -> Result<(Found, Option<Uuid>), Failure> {
    let (tenant, cursor, backwards) = (filter.tenant.clone(), cursor(filter), filter.cursor.is_backwards());
    let status = filter.status.map(|status| status.as_str());
    let (subject, limit) = (filter.subject.clone(), Page::rows_for(filter.limit));
    let (searched, limit) = (rows(SEARCHED_OF_RECIPIENT.max(limit)), rows(limit));
    let to = recipient.clone();
    let found: Found = if backwards {
        let page = ListNewerTo { recipient, tenant, cursor, searched, status, subject, limit };
        page.load(connection).await?
    } else {
        let page = ListOlderTo { recipient, tenant, cursor, searched, status, subject, limit };
        page.load(connection).await?
    };
    if found.len() > filter.limit {
        return Ok((found, None));
    }
    let (recipient, tenant, before) = (to, filter.tenant.clone(), searched - 1);
    let last: Vec<Uuid> = if backwards {
        LastNewerTo { recipient, tenant, cursor, before }.load(connection).await?
    } else {
        LastOlderTo { recipient, tenant, cursor, before }.load(connection).await?
    };
    Ok((found, last.into_iter().next()))
}
