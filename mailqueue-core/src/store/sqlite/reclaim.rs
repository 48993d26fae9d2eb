//! Ending leases that ran out.

use diesel::prelude::*;
use time::OffsetDateTime;

use super::super::unreadable;
use super::delivery::{self, DeliveryRow};
use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::{Micros, between, micros, time};
use crate::contracts::store::{ExpiredLease, Reclaimed, StoreError};
use crate::domain::transition::{DeliveryPolicy, Transition};
use crate::telemetry;

/// The time given comes from this store; should it lie ahead all the same, a lease that holds is not ended.
const EXPIRED: &str = "SELECT * FROM deliveries WHERE status = 'sending' AND lease_until < min(?, ?)
    ORDER BY lease_until LIMIT ?";

const EXTEND: &str = "UPDATE deliveries SET lease_until = ? WHERE email_id = ?";

/// Ends leases, the longest expired first. One whose row cannot be read stays for a while and is named in the log.
pub(super) fn reclaim(
    transaction: &mut Transaction<'_>,
    expired_before: OffsetDateTime,
    limit: usize,
    policy: &DeliveryPolicy,
) -> Result<Vec<Reclaimed>, StoreError> {
    let rows: Vec<DeliveryRow> = sql!(EXPIRED, micros(expired_before), transaction.now, limit)
        .load(transaction.connection)
        .map_err(outcome)?;
    let mut reclaimed = Vec::with_capacity(rows.len());
    for row in rows {
        match end_lease(&row, transaction.now, policy) {
            Ok((one, next)) => {
                delivery::write(transaction, &row, &next)?;
                reclaimed.push(one);
            }
            Err(error) => {
                let id = row.id()?;
                telemetry::row_unreadable("reclaim", id, &error);
                let until = delivery::left_alone_until(transaction);
                sql!(EXTEND, until, id).execute(transaction.connection).map_err(outcome)?;
            }
        }
    }
    Ok(reclaimed)
}

/// Ends the lease of a row: the result to report and the state to write.
fn end_lease(
    row: &DeliveryRow,
    now: Micros,
    policy: &DeliveryPolicy,
) -> Result<(Reclaimed, Transition), StoreError> {
    // A claim always sets it; a row that somebody edited may lack it.
    let claimed_at = row.claimed_at.unwrap_or(row.due_at);
    let lease = ExpiredLease {
        id: row.id()?,
        delivery: row.delivery()?,
        claimed_at: time(claimed_at)?,
        held: between(claimed_at, row.lease_until.unwrap_or(now)),
        age: between(row.due_since, now),
        owner: row.lease_owner.clone().unwrap_or_default(),
    };
    lease.reclaim(policy, fastrand::f64()).map_err(unreadable::value)
}
