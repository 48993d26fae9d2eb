//! Claiming messages and keeping their leases.

use std::collections::HashSet;
use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{microseconds, unreadable};
use super::bisect::bisect;
use super::delivery::{DeliveryColumns, DeliveryRow, delivery_columns};
use super::error::Failure;
use super::run::{Purpose, Runner};
use super::session::Session;
use super::statement::statement;
use crate::contracts::store::{Claimed, Claims, Lease, LeaseTerms, Renewal, StoreError, TooLarge};
use crate::domain::id::MessageId;
use crate::telemetry;

statement! {
    /// Leases what is queued and due. Rows another worker is looking at are skipped, not waited for. The status is
    /// compared as an expression so that the planner cannot take the partial index of all that is queued: it did, and
    /// read the whole backlog for every claim.
    Claim {
        ids: Array<SqlUuid> => Vec<Uuid>,
        largest: BigInt => i64,
        dot_up_to: BigInt => i64,
        owner: Text => String,
        token: SqlUuid => Uuid,
        duration: BigInt => i64,
    } -> (SqlUuid, Text, DeliveryColumns, Timestamptz, BigInt, BigInt, Text, Nullable<Binary>, Bool) = concat!("
        WITH picked AS (
            SELECT email_id FROM deliveries
            WHERE email_id = ANY (?) AND status || '' = 'queued' AND due_at <= now() AND octets <= ?
            ORDER BY email_id
            FOR UPDATE SKIP LOCKED
        )
        UPDATE deliveries d SET
            status      = 'sending',
            attempt     = d.attempt + 1,
            dot_allowed = d.octets <= ? AND d.lost_leases = 0,
            lease_owner = ?,
            lease_token = ?,
            lease_until = now() + ? * interval '1 microsecond',
            claimed_at  = now()
        FROM picked p JOIN emails e ON e.id = p.email_id
        WHERE d.email_id = p.email_id
        RETURNING d.email_id, d.lane, ", delivery_columns!(), ", d.claimed_at,
            (extract(epoch FROM now() - d.due_at) * 1000000)::bigint,
            (extract(epoch FROM now() - d.due_since) * 1000000)::bigint,
            e.sender, e.raw, e.smtputf8")
}

statement! {
    /// The messages that were not leased because they are too large. The status is compared as in the statement above.
    NameTooLarge { ids: Array<SqlUuid> => Vec<Uuid>, largest: BigInt => i64 } -> (SqlUuid, Integer) = "
        SELECT email_id, octets FROM deliveries
        WHERE email_id = ANY (?) AND status || '' = 'queued' AND due_at <= now() AND octets > ?"
}

type ClaimedRow = (Uuid, String, DeliveryRow, OffsetDateTime, i64, i64, String, Option<Vec<u8>>, bool);

statement! {
    /// Gives back for a while what was leased and cannot be read.
    LeaveAlone { wait: BigInt => i64, ids: Array<SqlUuid> => Vec<Uuid>, token: SqlUuid => Uuid } -> Bool = "
        UPDATE deliveries SET
            status      = 'queued',
            attempt     = attempt - 1,
            dot_allowed = false,
            due_at      = now() + ? * interval '1 microsecond',
            lease_owner = NULL,
            lease_token = NULL,
            lease_until = NULL
        WHERE email_id = ANY (?) AND status = 'sending' AND lease_token = ?"
}

statement! {
    /// Extends leases, and notes for those about to send their final dot that it is allowed. Rows are named as in the
    /// statement for the claim: by `= ANY`, which is looked up in the primary key even by a plan that was made while
    /// the table was empty, and with a status that fits no partial index, since one over what is being sent is full of
    /// dead entries.
    Renew {
        ids: Array<SqlUuid> => Vec<Uuid>,
        tokens: Array<SqlUuid> => Vec<Uuid>,
        dots: Array<Bool> => Vec<bool>,
        duration: BigInt => i64,
    } -> (SqlUuid, SqlUuid) = "
        WITH n AS (SELECT * FROM UNNEST(?, ?, ?) AS u (id, token, dot))
        UPDATE deliveries d SET
            lease_until = now() + ? * interval '1 microsecond',
            dot_allowed = d.dot_allowed OR n.dot
        FROM n
        WHERE d.email_id = ANY (ARRAY(SELECT id FROM n)) AND d.email_id = n.id
          AND d.status || '' = 'sending' AND d.lease_token = n.token
        RETURNING d.email_id, d.lease_token"
}

/// Leases those of `ids` that are queued and due and not too large. A row that may not be changed keeps no other from
/// being leased.
pub(super) async fn claim(
    runner: &Runner,
    ids: &[MessageId],
    terms: &LeaseTerms,
) -> Result<Claims, StoreError> {
    let claims = bisect(ids.to_vec(), |part| {
        let (runner, terms) = (runner.clone(), terms.clone());
        Box::pin(async move {
            // Without a limit of time: a claim that took effect after its caller had left would be a lease nobody
            // works under.
            let claims = runner.run_on(Purpose::Results, move |connection| {
                Box::pin(claim_together(connection, part.clone(), terms.clone()))
            });
            Ok(vec![claims.await?])
        })
    });
    let mut all = Claims::default();
    for claims in claims.await {
        match claims {
            Ok(Claims { leased, too_large }) => {
                all.leased.extend(leased);
                all.too_large.extend(too_large);
            }
            // A rule of the host's that protects one row must not keep the others from being sent.
            Err(StoreError::Refused(reason)) => telemetry::row_refused("claim", reason.message()),
            // The messages that were leased before the server went away are handed over all the same.
            Err(error) if all.leased.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(all)
}

async fn claim_together(
    connection: &mut Session,
    ids: Vec<MessageId>,
    terms: LeaseTerms,
) -> Result<Claims, Failure> {
    let largest = octets(terms.largest);
    let statement = Claim {
        ids: ids.iter().map(|id| id.as_uuid()).collect(),
        largest,
        // No message has fewer than none.
        dot_up_to: terms.dot_up_to.map_or(-1, octets),
        owner: terms.owner,
        token: terms.token,
        duration: microseconds::of(terms.duration),
    };
    let rows: Vec<ClaimedRow> = statement.load(connection).await?;
    let (leased, unreadable) = read(rows, terms.token);
    let carried = leased.iter().map(|claimed| claimed.raw.len()).sum();
    // Not in the claim's transaction: if this fails, the leases run out and the sweep postpones the rows.
    if !unreadable.is_empty() {
        let wait = microseconds::of(unreadable::RETRY_INTERVAL);
        LeaveAlone { wait, ids: unreadable, token: terms.token }.execute(connection).await?;
    }
    // Mostly all were leased, and there is nothing to be asked.
    let mut too_large = Vec::new();
    if leased.len() < ids.len() {
        let leased: HashSet<MessageId> = leased.iter().map(|claimed| claimed.lease.id).collect();
        let left: Vec<MessageId> = ids.into_iter().filter(|id| !leased.contains(id)).collect();
        // Reads the rows anew: one that another worker has leased in between is not named.
        too_large = name_too_large(connection, &left, largest).await?;
    }
    connection.close_if_larger_than(carried);
    Ok(Claims { leased, too_large })
}

/// A number of octets. Saturating loses nothing: the column has 32 bits, so no message is as large.
fn octets(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn name_too_large(
    connection: &mut Session,
    ids: &[MessageId],
    largest: i64,
) -> Result<Vec<TooLarge>, Failure> {
    let statement = NameTooLarge { ids: ids.iter().map(|id| id.as_uuid()).collect(), largest };
    let rows: Vec<(Uuid, i32)> = statement.load(connection).await?;
    let too_large =
        rows.into_iter().map(|(id, octets)| TooLarge { id: id.into(), octets: octets.unsigned_abs().into() });
    Ok(too_large.collect())
}

/// Messages that were leased, and the ids of those that cannot be read.
fn read(rows: Vec<ClaimedRow>, token: Uuid) -> (Vec<Claimed>, Vec<Uuid>) {
    let (mut leased, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let id = row.0;
        match claimed(row, token) {
            Ok(one) => leased.push(one),
            Err(error) => {
                telemetry::row_unreadable("claim", id.into(), &error);
                unreadable.push(id);
            }
        }
    }
    (leased, unreadable)
}

fn claimed(row: ClaimedRow, token: Uuid) -> Result<Claimed, StoreError> {
    let (id, lane, state, claimed_at, waited, age, sender, raw, smtputf8) = row;
    Ok(Claimed {
        lease: Lease { id: id.into(), token },
        lane: lane.parse().map_err(unreadable::value)?,
        delivery: state.try_into()?,
        claimed_at,
        waited: microseconds::duration(waited),
        age: microseconds::duration(age),
        sender,
        // Retention empties finished messages alone, and none is queued again without content: somebody edited the row.
        raw: raw.ok_or_else(|| StoreError::Unreadable("its content is gone".into()))?.into(),
        smtputf8,
    })
}

/// Extends leases; the answer is whether each is still held.
pub(super) async fn renew(
    runner: &Runner,
    renewals: Vec<Renewal>,
    duration: Duration,
) -> Result<Vec<bool>, StoreError> {
    let renewed = bisect(renewals, |part| {
        let runner = runner.clone();
        Box::pin(async move {
            runner.run(move |connection| Box::pin(renew_together(connection, part.clone(), duration))).await
        })
    });
    // A lease that may not be written is as good as lost.
    let held = renewed.await.into_iter().map(|held| match held {
        Err(StoreError::Refused(_)) => Ok(false),
        held => held,
    });
    held.collect()
}

async fn renew_together(
    connection: &mut Session,
    renewals: Vec<Renewal>,
    duration: Duration,
) -> Result<Vec<bool>, Failure> {
    // Keeps the original, since the answers stand in its order.
    let mut sorted = renewals.clone();
    // In the order of ids, as every batch locks. A lease asked for twice is written once, with either's dot.
    sorted.sort_unstable_by_key(|renewal| (renewal.lease.id, renewal.lease.token, !renewal.before_dot));
    sorted.dedup_by_key(|renewal| renewal.lease);
    let statement = Renew {
        duration: microseconds::of(duration),
        ids: sorted.iter().map(|renewal| renewal.lease.id.as_uuid()).collect(),
        tokens: sorted.iter().map(|renewal| renewal.lease.token).collect(),
        dots: sorted.iter().map(|renewal| renewal.before_dot).collect(),
    };
    let held: Vec<(Uuid, Uuid)> = statement.load(connection).await?;
    let held: HashSet<Lease> = held.into_iter().map(|(id, token)| Lease { id: id.into(), token }).collect();
    Ok(renewals.iter().map(|renewal| held.contains(&renewal.lease)).collect())
}
