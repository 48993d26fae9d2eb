//! What the sweep asks for: what is due, whose lease ran out, what may be forgotten.

use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::unreadable;
use super::row::{StateColumns, StateRow, state_columns};
use super::session::Session;
use super::statement::statement;
use super::{Failure, microseconds, probe, state};
use crate::contracts::queue::Entry;
use crate::contracts::store::{Backlog, Pruned, Reclaimed, Retention, StoreError};
use crate::domain::delivery::Delivery;
use crate::domain::lane::Lane;
use crate::domain::transition::{AttemptContext, DeliveryPolicy, Event, decide};

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

/// What is queued and due in a lane.
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

/// Leases that ran out before a time, as an [`ExpiredRow`].
macro_rules! select_expired {
    () => {
        concat!(
            "SELECT d.email_id, COALESCE(d.claimed_at, d.due_at),
            (extract(epoch FROM d.lease_until - COALESCE(d.claimed_at, d.due_at)) * 1000000)::bigint,
            (extract(epoch FROM now() - d.due_since) * 1000000)::bigint,
            COALESCE(d.lease_owner, ''), ",
            state_columns!(),
            " FROM deliveries d WHERE d.status = 'sending' AND d.lease_until < ?"
        )
    };
}

type ExpiredColumns = (SqlUuid, Timestamptz, BigInt, BigInt, Text, StateColumns);

statement! {
    /// Leases that ran out, locked; those another sweep is looking at are skipped.
    LockExpired { before: Timestamptz => OffsetDateTime, limit: BigInt => i64 } -> ExpiredColumns =
        concat!(select_expired!(), " ORDER BY d.email_id LIMIT ? FOR UPDATE SKIP LOCKED")
}

statement! {
    /// One lease, if it ran out and no other sweep is looking at it; locked.
    LockExpiredOne { before: Timestamptz => OffsetDateTime, id: SqlUuid => Uuid } -> ExpiredColumns =
        concat!(select_expired!(), " AND d.email_id = ? FOR UPDATE SKIP LOCKED")
}

statement! {
    /// Whose leases ran out.
    NameExpired { before: Timestamptz => OffsetDateTime, limit: BigInt => i64 } -> SqlUuid = "
        SELECT email_id FROM deliveries WHERE status = 'sending' AND lease_until < ? ORDER BY email_id LIMIT ?"
}

statement! {
    /// Leaves leases alone for a while whose rows cannot be read, so that they fill no page.
    Extend { wait: BigInt => i64, ids: Array<SqlUuid> => Vec<Uuid> } -> Bool = "
        UPDATE deliveries SET lease_until = now() + ? * interval '1 microsecond' WHERE email_id = ANY (?)"
}

type ExpiredRow = (Uuid, OffsetDateTime, i64, i64, String, StateRow);

/// Ends leases that ran out.
pub(super) async fn reclaim(
    connection: &mut Session,
    before: OffsetDateTime,
    limit: usize,
    policy: DeliveryPolicy,
) -> Result<Vec<Reclaimed>, Failure> {
    connection
        .transaction(async move |connection| {
            let expired = LockExpired { before, limit: rows(limit) }.load(connection).await?;
            end_leases(connection, expired, &policy).await
        })
        .await
}

/// Whose leases ran out.
pub(super) async fn expired(
    connection: &mut Session,
    before: OffsetDateTime,
    limit: usize,
) -> Result<Vec<Uuid>, Failure> {
    Ok(NameExpired { before, limit: rows(limit) }.load(connection).await?)
}

/// Ends one lease, if it ran out.
pub(super) async fn reclaim_one(
    connection: &mut Session,
    id: Uuid,
    before: OffsetDateTime,
    policy: DeliveryPolicy,
) -> Result<Vec<Reclaimed>, Failure> {
    connection
        .transaction(async move |connection| {
            let expired = LockExpiredOne { before, id }.load(connection).await?;
            end_leases(connection, expired, &policy).await
        })
        .await
}

async fn end_leases(
    connection: &mut Session,
    expired: Vec<ExpiredRow>,
    policy: &DeliveryPolicy,
) -> Result<Vec<Reclaimed>, Failure> {
    let mut reclaimed = Vec::with_capacity(expired.len());
    let mut states = Vec::with_capacity(expired.len());
    let mut unreadable = Vec::new();
    for row in expired {
        let id = row.0;
        match end_lease(row, policy) {
            Ok((result, state)) => {
                reclaimed.push(result);
                states.push(state);
            }
            Err(error) => {
                unreadable::tell("reclaim", id.into(), &error);
                unreadable.push(id);
            }
        }
    }
    if !unreadable.is_empty() {
        let wait = microseconds(unreadable::LEFT_ALONE);
        Extend { wait, ids: unreadable }.execute(connection).await?;
    }
    if !states.is_empty() {
        state::write(connection, states).await?;
    }
    Ok(reclaimed)
}

fn end_lease(row: ExpiredRow, policy: &DeliveryPolicy) -> Result<(Reclaimed, state::NewState), StoreError> {
    let (id, started_at, held, age, worker, state) = row;
    let delivery = Delivery::try_from(state)?;
    let duration = |microseconds: i64| Duration::from_micros(u64::try_from(microseconds).unwrap_or(0));
    let context = AttemptContext {
        attempt: delivery.attempt,
        started_at,
        duration: duration(held),
        age: duration(age),
        worker,
        jitter: fastrand::f64(),
    };
    let transition = decide(&delivery, &Event::LeaseExpired(context), policy)
        .map_err(|error| StoreError::Unreadable(error.to_string().into()))?;
    let (id, status) = (id.into(), transition.delivery.status);
    let reclaimed = Reclaimed { id, status, ambiguous: delivery.dot_allowed };
    Ok((reclaimed, state::NewState::locked(id, transition)))
}

statement! {
    /// How much waits; every part is answered from a partial index.
    ReadStatistics { count: BigInt => i64 } -> (Timestamptz, BigInt, BigInt, BigInt, Nullable<Timestamptz>) = "
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

/// How much is waiting.
pub(super) async fn backlog(connection: &mut Session, count: u64) -> Result<Backlog, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let row: (OffsetDateTime, i64, i64, i64, Option<OffsetDateTime>) =
        ReadStatistics { count }.get_result(connection).await?;
    let (now, queued, octets, sending, oldest_due) = row;
    let [queued, octets, sending] = [queued, octets, sending].map(i64::unsigned_abs);
    Ok(Backlog { now, queued, octets, sending, oldest_due })
}

statement! {
    /// Takes the content of old messages away.
    PruneContent { age: BigInt => i64, limit: BigInt => i64 } -> Bool = "
        WITH old AS (
            SELECT email_id FROM deliveries
            WHERE has_content AND finished_at < now() - ? * interval '1 microsecond'
            ORDER BY finished_at LIMIT ?
            FOR UPDATE SKIP LOCKED
        ), emptied AS (
            UPDATE emails SET raw = NULL, body_text = NULL, body_html = NULL
            WHERE id IN (SELECT email_id FROM old)
        )
        UPDATE deliveries SET has_content = false WHERE email_id IN (SELECT email_id FROM old)"
}

statement! {
    /// Forgets old messages; their deliveries go with them. Tells how many, and how many still had their content.
    PruneRecords { age: BigInt => i64, limit: BigInt => i64 } -> (BigInt, BigInt) = "
        WITH old AS (
            SELECT email_id, has_content FROM deliveries
            WHERE finished_at < now() - ? * interval '1 microsecond'
            ORDER BY finished_at LIMIT ?
            FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM emails WHERE id IN (SELECT email_id FROM old)
        )
        SELECT count(*), count(*) FILTER (WHERE has_content) FROM old"
}

statement! {
    /// Forgets keys that have run out.
    PruneKeys { limit: BigInt => i64 } -> Bool = "
        DELETE FROM idempotency_keys WHERE (tenant, key) IN (
            SELECT tenant, key FROM idempotency_keys WHERE expires_at < now() LIMIT ? FOR UPDATE SKIP LOCKED
        )"
}

/// Forgets what is older than `retention` says.
pub(super) async fn prune(
    connection: &mut Session,
    retention: Retention,
    limit: usize,
) -> Result<Pruned, Failure> {
    let limit = rows(limit);
    let mut pruned = Pruned::default();
    if retention.content < retention.record {
        let statement = PruneContent { age: microseconds(retention.content), limit };
        pruned.contents = statement.execute(connection).await? as u64;
    }
    let statement = PruneRecords { age: microseconds(retention.record), limit };
    let (records, contents): (i64, i64) = statement.get_result(connection).await?;
    pruned.records = records.unsigned_abs();
    pruned.contents += contents.unsigned_abs();
    pruned.keys = PruneKeys { limit }.execute(connection).await? as u64;
    probe::prune(connection).await?;
    Ok(pruned)
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
