//! The messages that are due, and how many wait.

use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::Failure;
use super::session::Session;
use super::statement::{rows, statement};
use crate::contracts::queue::Entry;
use crate::contracts::store::Backlog;
use crate::domain::lane::Lane;

statement! {
    /// A page of the due index.
    DueEntries {
        lane: Text => &'static str,
        before: Nullable<Timestamptz> => Option<OffsetDateTime>,
        limit: BigInt => i64,
    } -> (SqlUuid, Timestamptz) = "
        SELECT email_id, due_at FROM deliveries
        WHERE status = 'queued' AND lane = ? AND due_at <= now() AND due_at < COALESCE(?, 'infinity')
        ORDER BY due_at, email_id LIMIT ?"
}

/// The messages of a lane that are queued and due.
pub(super) async fn due(
    connection: &mut Session,
    lane: Lane,
    before: Option<OffsetDateTime>,
    limit: usize,
) -> Result<Vec<Entry>, Failure> {
    let statement = DueEntries { lane: lane.as_str(), before, limit: rows(limit) };
    let rows: Vec<(Uuid, OffsetDateTime)> = statement.load(connection).await?;
    Ok(rows.into_iter().map(|(id, due_at)| Entry { lane, due_at, id: id.into() }).collect())
}

statement! {
    /// How much waits; every part is answered from a partial index, the oldest lane by lane, as the index begins with
    /// the lane.
    ReadBacklog { count: BigInt => i64 } -> (Timestamptz, BigInt, BigInt, BigInt, Nullable<Timestamptz>) = "
        SELECT now(), waiting.messages, waiting.octets,
            (SELECT count(*) FROM deliveries WHERE status = 'sending'),
            (SELECT min(first.due_at) FROM (VALUES ('urgent'), ('normal'), ('bulk')) AS lanes (lane)
             CROSS JOIN LATERAL (
                 SELECT due_at FROM deliveries d
                 WHERE d.status = 'queued' AND d.lane = lanes.lane AND d.due_at <= now()
                 ORDER BY due_at LIMIT 1
             ) AS first)
        FROM (SELECT count(*) AS messages, COALESCE(sum(octets), 0)::bigint AS octets
              FROM (SELECT octets FROM deliveries WHERE status = 'queued' LIMIT ?) AS counted) AS waiting"
}

/// The number and size of the messages that wait.
pub(super) async fn backlog(connection: &mut Session, count: u64) -> Result<Backlog, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let row: (OffsetDateTime, i64, i64, i64, Option<OffsetDateTime>) =
        ReadBacklog { count }.get_result(connection).await?;
    let (now, queued, octets, sending, oldest_due) = row;
    let [queued, octets, sending] = [queued, octets, sending].map(i64::unsigned_abs);
    Ok(Backlog { now, queued, octets, sending, oldest_due })
}
