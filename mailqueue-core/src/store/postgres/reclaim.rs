//! Ending leases that ran out.

use diesel::sql_types::{Array, BigInt, Bool, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{microseconds, unreadable};
use super::delivery::{self, DeliveryColumns, DeliveryRow, NewState, delivery_columns};
use super::error::Failure;
use super::run::Runner;
use super::session::Session;
use super::statement::{rows, statement};
use crate::contracts::store::{ExpiredLease, Reclaimed, StoreError};
use crate::domain::transition::DeliveryPolicy;
use crate::telemetry;

/// Leases that ran out before a time, as an [`ExpiredRow`].
macro_rules! select_expired {
    () => {
        concat!(
            "SELECT d.email_id, COALESCE(d.claimed_at, d.due_at),
            (extract(epoch FROM d.lease_until - COALESCE(d.claimed_at, d.due_at)) * 1000000)::bigint,
            (extract(epoch FROM now() - d.due_since) * 1000000)::bigint,
            COALESCE(d.lease_owner, ''), ",
            delivery_columns!(),
            " FROM deliveries d WHERE d.status = 'sending' AND d.lease_until < ?"
        )
    };
}

type ExpiredColumns = (SqlUuid, Timestamptz, BigInt, BigInt, Text, DeliveryColumns);

statement! {
    /// Leases that ran out, locked; those another sweep is looking at are skipped.
    LockExpired { before: Timestamptz => OffsetDateTime, limit: BigInt => i64 } -> ExpiredColumns =
        // By id, as every batch locks; no index has the times, so that a renewal touches none.
        concat!(select_expired!(), " ORDER BY d.email_id LIMIT ? FOR UPDATE SKIP LOCKED")
}

statement! {
    /// One lease, if it ran out and no other sweep is looking at it; locked.
    LockExpiredOne { before: Timestamptz => OffsetDateTime, id: SqlUuid => Uuid } -> ExpiredColumns =
        concat!(select_expired!(), " AND d.email_id = ? FOR UPDATE SKIP LOCKED")
}

statement! {
    /// The messages whose leases ran out.
    NameExpired { before: Timestamptz => OffsetDateTime, limit: BigInt => i64 } -> SqlUuid = "
        SELECT email_id FROM deliveries WHERE status = 'sending' AND lease_until < ? ORDER BY email_id LIMIT ?"
}

statement! {
    /// Leaves leases alone for a while whose rows cannot be read, so that they fill no page.
    Extend { wait: BigInt => i64, ids: Array<SqlUuid> => Vec<Uuid> } -> Bool = "
        UPDATE deliveries SET lease_until = now() + ? * interval '1 microsecond' WHERE email_id = ANY (?)"
}

type ExpiredRow = (Uuid, OffsetDateTime, i64, i64, String, DeliveryRow);

/// Ends leases that ran out. Where the database refuses to change one of them, they are ended one by one.
pub(super) async fn reclaim(
    runner: &Runner,
    before: OffsetDateTime,
    limit: usize,
    policy: DeliveryPolicy,
) -> Result<Vec<Reclaimed>, StoreError> {
    let together =
        runner.run(move |connection| Box::pin(reclaim_together(connection, before, limit, policy)));
    match together.await {
        Err(StoreError::Refused(_)) => reclaim_apart(runner, before, limit, policy).await,
        reclaimed => reclaimed,
    }
}

async fn reclaim_apart(
    runner: &Runner,
    before: OffsetDateTime,
    limit: usize,
    policy: DeliveryPolicy,
) -> Result<Vec<Reclaimed>, StoreError> {
    let expired = runner.run(move |connection| Box::pin(expired(connection, before, limit))).await?;
    let mut reclaimed = Vec::with_capacity(expired.len());
    for id in expired {
        match runner.run(move |connection| Box::pin(reclaim_one(connection, id, before, policy))).await {
            Ok(one) => reclaimed.extend(one),
            Err(StoreError::Refused(reason)) => telemetry::row_refused("reclaim", reason.message()),
            // The leases that were ended before the server went away are reported all the same.
            Err(error) if reclaimed.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(reclaimed)
}

async fn reclaim_together(
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

async fn expired(
    connection: &mut Session,
    before: OffsetDateTime,
    limit: usize,
) -> Result<Vec<Uuid>, Failure> {
    Ok(NameExpired { before, limit: rows(limit) }.load(connection).await?)
}

async fn reclaim_one(
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
                telemetry::row_unreadable("reclaim", id.into(), &error);
                unreadable.push(id);
            }
        }
    }
    if !unreadable.is_empty() {
        let wait = microseconds::of(unreadable::RETRY_INTERVAL);
        Extend { wait, ids: unreadable }.execute(connection).await?;
    }
    if !states.is_empty() {
        delivery::write(connection, states).await?;
    }
    Ok(reclaimed)
}

fn end_lease(row: ExpiredRow, policy: &DeliveryPolicy) -> Result<(Reclaimed, NewState), StoreError> {
    let (id, claimed_at, held, age, owner, state) = row;
    let lease = ExpiredLease {
        id: id.into(),
        delivery: state.try_into()?,
        claimed_at,
        held: microseconds::duration(held),
        age: microseconds::duration(age),
        owner,
    };
    let (reclaimed, transition) = lease
        // Jitter keeps the messages of one dead worker from coming due together.
        .reclaim(policy, fastrand::f64())
        .map_err(unreadable::value)?;
    Ok((reclaimed, NewState::locked(reclaimed.id, transition)))
}
