//! The state of a delivery, as it is read and written.

use diesel::deserialize::Queryable;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::microseconds;
use super::super::unreadable;
use super::json::{Json, Read};
use super::session::Session;
use super::statement::statement;
use crate::contracts::store::{Settlement, StoreError};
use crate::domain::attempt::Attempt;
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::recipient::Recipient;
use crate::domain::status::Status;
use crate::domain::transition::{Due, Transition};

/// The columns of a [`DeliveryRow`], in its order.
macro_rules! delivery_columns {
    () => {
        "d.status, d.attempt, d.lost_leases, d.dot_allowed, d.recipients, d.attempts"
    };
}
pub(super) use delivery_columns;

/// Their types.
pub(super) type DeliveryColumns = (Text, Integer, Integer, Bool, Jsonb, Jsonb);

/// A delivery's state.
#[derive(Queryable)]
pub(super) struct DeliveryRow {
    status: String,
    attempt: i32,
    lost_leases: i32,
    dot_allowed: bool,
    recipients: Read<Vec<Recipient>>,
    attempts: Read<Vec<Attempt>>,
}

impl DeliveryRow {
    /// The status; unknown when the column cannot be read.
    pub(super) fn status(&self) -> Status {
        self.status.parse().unwrap_or(Status::Unknown)
    }
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, Self::Error> {
        Ok(Self {
            status: row.status.parse().map_err(unreadable::value)?,
            attempt: row.attempt.unsigned_abs(),
            lost_leases: row.lost_leases.unsigned_abs(),
            dot_allowed: row.dot_allowed,
            recipients: row.recipients.of("recipients")?,
            attempts: row.attempts.of("attempts")?,
        })
    }
}

statement! {
    /// Writes states. One that comes with a token is written only while that lease is held (the fence) and nobody has
    /// added to the attempt log since it was claimed. A lease ends with the status `sending`. What is moved into the
    /// past is due now, and no older than that. Binds are sorted by id, so that parallel batches lock in the same order.
    /// Rows are named by `= ANY`, as in the statement that renews leases.
    #[derive(Default)]
    WriteStates {
        ids: Array<SqlUuid> => Vec<Uuid>,
        tokens: Array<Nullable<SqlUuid>> => Vec<Option<Uuid>>,
        log_lengths: Array<Integer> => Vec<i32>,
        statuses: Array<Text> => Vec<&'static str>,
        attempts_made: Array<Integer> => Vec<i32>,
        lost_leases: Array<Integer> => Vec<i32>,
        dots_allowed: Array<Bool> => Vec<bool>,
        maybes: Array<Bool> => Vec<bool>,
        recipients: Array<Jsonb> => Vec<Json<Vec<Recipient>>>,
        attempts: Array<Jsonb> => Vec<Json<Vec<Attempt>>>,
        due_ats: Array<Nullable<Timestamptz>> => Vec<Option<OffsetDateTime>>,
        due_ins: Array<Nullable<BigInt>> => Vec<Option<i64>>,
        resets_age: Array<Bool> => Vec<bool>,
    } -> (SqlUuid, Timestamptz) = "
        WITH n AS (
            SELECT *, COALESCE(CASE WHEN due_at < now() THEN now() ELSE due_at END,
                               now() + due_in * interval '1 microsecond') AS due
            FROM UNNEST(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                AS u (id, token, log_length, status, attempt, lost_leases, dot_allowed, maybe_sent, recipients,
                      attempts, due_at, due_in, resets_age)
        )
        UPDATE deliveries d SET
            status      = n.status,
            attempt     = n.attempt,
            lost_leases = n.lost_leases,
            dot_allowed = n.dot_allowed,
            maybe_sent  = n.maybe_sent,
            recipients  = n.recipients,
            attempts    = n.attempts,
            due_at      = COALESCE(n.due, d.due_at),
            due_since   = CASE WHEN n.resets_age THEN COALESCE(n.due, d.due_at) ELSE d.due_since END,
            rescheduled_at = CASE WHEN n.due_at IS NULL THEN d.rescheduled_at ELSE n.due END,
            lease_owner = CASE WHEN n.status = 'sending' THEN d.lease_owner END,
            lease_token = CASE WHEN n.status = 'sending' THEN d.lease_token END,
            lease_until = CASE WHEN n.status = 'sending' THEN d.lease_until END,
            finished_at = CASE WHEN n.status IN ('sent', 'failed', 'cancelled', 'unknown')
                          THEN COALESCE(d.finished_at, now()) END
        FROM n
        WHERE d.email_id = ANY (ARRAY(SELECT id FROM n)) AND d.email_id = n.id
          AND (n.token IS NULL OR d.status || '' = 'sending' AND d.lease_token = n.token
               AND CASE jsonb_typeof(d.attempts) WHEN 'array' THEN jsonb_array_length(d.attempts) END = n.log_length)
        RETURNING d.email_id, d.due_at"
}

/// Under which lease a state may be written, and on top of how many lines of the attempt log.
pub(super) struct Fence {
    token: Uuid,
    log_length: usize,
}

/// A state to be written, and under which lease if that matters.
pub(super) struct NewState {
    pub(super) id: MessageId,
    pub(super) fence: Option<Fence>,
    pub(super) transition: Transition,
}

impl NewState {
    /// A state that only the holder of the lease may write, if the delivery is still as it was claimed.
    pub(super) fn fenced(settlement: &Settlement, transition: Transition) -> Self {
        let fence = Fence { token: settlement.lease.token, log_length: settlement.claimed.attempts.len() };
        Self { id: settlement.lease.id, fence: Some(fence), transition }
    }

    /// A state for a row that is locked.
    pub(super) fn locked(id: MessageId, transition: Transition) -> Self {
        Self { id, fence: None, transition }
    }
}

/// Writes states and returns the rows that were written, with the times they are due.
pub(super) async fn write(
    connection: &mut Session,
    mut states: Vec<NewState>,
) -> diesel::QueryResult<Vec<(MessageId, OffsetDateTime)>> {
    states.sort_unstable_by_key(|state| state.id);
    let rows: Vec<(Uuid, OffsetDateTime)> = batch(states).load(connection).await?;
    Ok(rows.into_iter().map(|(id, due_at)| (id.into(), due_at)).collect())
}

fn batch(states: Vec<NewState>) -> WriteStates {
    let mut batch = WriteStates::default();
    for NewState { id, fence, transition: Transition { delivery, due, resets_age } } in states {
        batch.ids.push(id.as_uuid());
        let log_length = fence.as_ref().map_or(0, |fence| fence.log_length);
        // No row has a log of this length, so such a result would be decided on the row.
        batch.log_lengths.push(i32::try_from(log_length).unwrap_or(i32::MAX));
        batch.tokens.push(fence.map(|fence| fence.token));
        batch.statuses.push(delivery.status.as_str());
        batch.attempts_made.push(integer(delivery.attempt));
        batch.lost_leases.push(integer(delivery.lost_leases));
        batch.dots_allowed.push(delivery.dot_allowed);
        batch.maybes.push(delivery.maybe_sent());
        batch.recipients.push(Json(delivery.recipients));
        batch.attempts.push(Json(delivery.attempts));
        batch.due_ats.push(if let Due::At(at) = due { Some(at) } else { None });
        batch.due_ins.push(if let Due::In(wait) = due { Some(microseconds::of(wait)) } else { None });
        batch.resets_age.push(resets_age);
    }
    batch
}

fn integer(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
