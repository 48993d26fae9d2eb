//! The messages that are due, and how many wait.

use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::unreadable;
use super::error::Failure;
use super::session::Session;
use super::statement::{rows, statement};
use crate::contracts::queue::Entry;
use crate::contracts::store::{Backlog, DueRange};

statement! {
    /// A page of the due index for each range.
    DueEntries {
        lanes: Array<Text> => Vec<&'static str>,
        befores: Array<Nullable<Timestamptz>> => Vec<Option<OffsetDateTime>>,
        limits: Array<BigInt> => Vec<i64>,
    } -> (Text, SqlUuid, Timestamptz) = "
        SELECT asked.lane, page.email_id, page.due_at
        FROM UNNEST(?, ?, ?) WITH ORDINALITY AS asked (lane, before, most, place)
        CROSS JOIN LATERAL (
            SELECT email_id, due_at FROM deliveries d
            WHERE d.status = 'queued' AND d.lane = asked.lane
              AND d.due_at <= now() AND d.due_at < COALESCE(asked.before, 'infinity')
            ORDER BY d.due_at, d.email_id LIMIT asked.most
        ) AS page
        ORDER BY asked.place, page.due_at, page.email_id"
}

/// The messages of each range that are queued and due.
pub(super) async fn due(connection: &mut Session, ranges: Vec<DueRange>) -> Result<Vec<Entry>, Failure> {
    let statement = DueEntries {
        lanes: ranges.iter().map(|range| range.lane.as_str()).collect(),
        befores: ranges.iter().map(|range| range.before).collect(),
        limits: ranges.iter().map(|range| rows(range.limit)).collect(),
    };
    let rows: Vec<(String, Uuid, OffsetDateTime)> = statement.load(connection).await?;
    let entries = rows.into_iter().map(|(lane, id, due_at)| {
        let lane = lane.parse().map_err(unreadable::value)?;
        Ok(Entry { lane, due_at, id: id.into() })
    });
    entries.collect()
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
