//! Leases: given and extended.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};

use super::super::unreadable;
use super::delivery::{self, DeliveryRow};
use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::{between, later, time};
use crate::contracts::store::{Claimed, Claims, Lease, LeaseTerms, Renewal, StoreError, TooLarge};
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::transition::{DeliveryPolicy, Event, decide};
use crate::telemetry;

/// The content of what is too large is not read.
const CLAIMABLE: &str = "SELECT d.*, e.sender, e.smtputf8, CASE WHEN d.octets <= ? THEN e.raw END AS raw
    FROM deliveries d JOIN emails e ON e.id = d.email_id
    WHERE d.email_id = ? AND d.status = 'queued' AND d.due_at <= ?";

#[derive(QueryableByName)]
struct Claimable {
    #[diesel(embed)]
    delivery: DeliveryRow,
    #[diesel(sql_type = Text)]
    sender: String,
    #[diesel(sql_type = Bool)]
    smtputf8: bool,
    #[diesel(sql_type = Nullable<Binary>)]
    raw: Option<Vec<u8>>,
    #[diesel(sql_type = BigInt)]
    octets: i64,
}

/// Leases those of `ids` that are queued and due and not too large. One that cannot be read waits for a while and is
/// named in the log, so that it does not hold up the others.
pub(super) fn claim(
    transaction: &mut Transaction<'_>,
    ids: &[MessageId],
    terms: &LeaseTerms,
) -> Result<Claims, StoreError> {
    // Saturating loses nothing: no message has so many octets.
    let largest = i64::try_from(terms.largest).unwrap_or(i64::MAX);
    let mut claims = Claims { leased: Vec::with_capacity(ids.len()), too_large: Vec::new() };
    for &id in ids {
        let found: Option<Claimable> = sql!(CLAIMABLE, largest, id, transaction.now)
            .get_result(transaction.connection)
            .optional()
            .map_err(outcome)?;
        let Some(found) = found else { continue };
        if found.octets > largest {
            claims.too_large.push(TooLarge { id, octets: found.octets.unsigned_abs() });
            continue;
        }
        match found.claimed(transaction, terms) {
            Ok(one) => {
                lease(transaction, &one, terms)?;
                claims.leased.push(one);
            }
            Err(error) => {
                telemetry::row_unreadable("claim", id, &error);
                let until = delivery::left_alone_until(transaction);
                sql!(POSTPONE, until, id).execute(transaction.connection).map_err(outcome)?;
            }
        }
    }
    Ok(claims)
}

// Needs no guard, nor does LEASE: the only writer has read the row in this transaction.
const POSTPONE: &str = "UPDATE deliveries SET due_at = ? WHERE email_id = ?";

impl Claimable {
    fn claimed(self, transaction: &Transaction<'_>, terms: &LeaseTerms) -> Result<Claimed, StoreError> {
        let row = &self.delivery;
        let mut delivery = decided(&row.delivery()?, &Event::Claimed)?;
        let is_small = terms.dot_up_to.is_some_and(|most| self.octets.unsigned_abs() <= most);
        if is_small && delivery.lost_leases == 0 {
            delivery = decided(&delivery, &Event::DotAllowed)?;
        }
        let raw = self.raw.ok_or_else(|| StoreError::Unreadable("its content is gone".into()))?;
        Ok(Claimed {
            lease: Lease { id: row.id()?, token: terms.token },
            lane: row.lane()?,
            delivery,
            claimed_at: time(transaction.now)?,
            waited: between(row.due_at, transaction.now),
            age: between(row.due_since, transaction.now),
            sender: self.sender,
            raw: raw.into(),
            smtputf8: self.smtputf8,
        })
    }
}

/// The state that follows. The policy has no effect on what happens here.
fn decided(delivery: &Delivery, event: &Event) -> Result<Delivery, StoreError> {
    let next = decide(delivery, event, &DeliveryPolicy::default()).map_err(unreadable::value)?;
    Ok(next.delivery)
}

const LEASE: &str = "UPDATE deliveries SET status = 'sending', attempt = ?, dot_allowed = ?, claimed_at = ?,
    lease_owner = ?, lease_token = ?, lease_until = ? WHERE email_id = ?";

fn lease(transaction: &mut Transaction<'_>, claimed: &Claimed, terms: &LeaseTerms) -> Result<(), StoreError> {
    sql!(
        LEASE,
        claimed.delivery.attempt,
        claimed.delivery.dot_allowed,
        transaction.now,
        &*terms.owner,
        terms.token,
        later(transaction.now, terms.duration),
        claimed.lease.id
    )
    .execute(transaction.connection)
    .map_err(outcome)?;
    Ok(())
}

const RENEW: &str = "UPDATE deliveries SET lease_until = ?, dot_allowed = max(dot_allowed, ?)
    WHERE email_id = ? AND status = 'sending' AND lease_token = ?";

/// Extends leases, also such as ran out without anybody ending them, and says which are held.
pub(super) fn renew(
    transaction: &mut Transaction<'_>,
    renewals: &[Renewal],
    duration: Duration,
) -> Result<Vec<bool>, StoreError> {
    let until = later(transaction.now, duration);
    let mut held = Vec::with_capacity(renewals.len());
    for renewal in renewals {
        let changed = sql!(RENEW, until, renewal.before_dot, renewal.lease.id, renewal.lease.token)
            .execute(transaction.connection)
            .map_err(outcome)?;
        held.push(changed == 1);
    }
    Ok(held)
}
