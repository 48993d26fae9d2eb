//! The row of `deliveries`: all that changes.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use uuid::Uuid;

use super::super::unreadable;
use super::error::outcome;
use super::job::Transaction;
use super::json;
use super::statement::sql;
use super::time::{Micros, later, micros};
use crate::contracts::store::StoreError;
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::status::Status;
use crate::domain::transition::{Due, Transition};

/// A row as it is kept.
#[derive(QueryableByName)]
pub(super) struct DeliveryRow {
    #[diesel(sql_type = Binary)]
    pub(super) email_id: Vec<u8>,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Text)]
    lane: String,
    #[diesel(sql_type = BigInt)]
    pub(super) due_at: Micros,
    #[diesel(sql_type = BigInt)]
    pub(super) due_since: Micros,
    #[diesel(sql_type = BigInt)]
    attempt: i64,
    #[diesel(sql_type = BigInt)]
    lost_leases: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) lease_owner: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    lease_token: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) lease_until: Option<Micros>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) claimed_at: Option<Micros>,
    #[diesel(sql_type = Bool)]
    dot_allowed: bool,
    #[diesel(sql_type = Text)]
    recipients: String,
    #[diesel(sql_type = Text)]
    attempts: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) finished_at: Option<Micros>,
    #[diesel(sql_type = Bool)]
    pub(super) has_content: bool,
}

impl DeliveryRow {
    /// The message.
    pub(super) fn id(&self) -> Result<MessageId, StoreError> {
        id(&self.email_id)
    }

    /// The lane it waits in.
    pub(super) fn lane(&self) -> Result<Lane, StoreError> {
        self.lane.parse().map_err(|_| StoreError::Unreadable("deliveries.lane".into()))
    }

    /// Tells whether the lease with this token is held.
    pub(super) fn is_leased_by(&self, token: Uuid) -> bool {
        self.status == Status::Sending.as_str() && self.lease_token.as_deref() == Some(token.as_bytes())
    }

    /// Its status.
    pub(super) fn status(&self) -> Result<Status, StoreError> {
        self.status.parse().map_err(|_| StoreError::Unreadable("deliveries.status".into()))
    }

    /// The state.
    pub(super) fn delivery(&self) -> Result<Delivery, StoreError> {
        let count = |number: i64| {
            u32::try_from(number).map_err(|_| StoreError::Unreadable("a negative count".into()))
        };
        Ok(Delivery {
            status: self.status()?,
            attempt: count(self.attempt)?,
            lost_leases: count(self.lost_leases)?,
            dot_allowed: self.dot_allowed,
            recipients: json::read("deliveries.recipients", &self.recipients)?,
            attempts: json::read("deliveries.attempts", &self.attempts)?,
        })
    }
}

/// An id from the octets it is kept as.
pub(super) fn id(octets: &[u8]) -> Result<MessageId, StoreError> {
    let uuid =
        Uuid::from_slice(octets).map_err(|_| StoreError::Unreadable("an id that is not 16 octets".into()))?;
    Ok(uuid.into())
}

const LOAD: &str = "SELECT * FROM deliveries WHERE email_id = ?";

/// The time until which a row that cannot be read is left alone.
pub(super) fn left_alone_until(transaction: &Transaction<'_>) -> Micros {
    later(transaction.now, unreadable::RETRY_INTERVAL)
}

/// The row of a message; `None` when it is gone.
pub(super) fn load(
    transaction: &mut Transaction<'_>,
    id: MessageId,
) -> Result<Option<DeliveryRow>, StoreError> {
    sql!(LOAD, id).get_result(transaction.connection).optional().map_err(outcome)
}

const WRITE: &str = "UPDATE deliveries SET status = ?, attempt = ?, lost_leases = ?, dot_allowed = ?,
    maybe_sent = ?, recipients = ?, attempts = ?, due_at = ?, due_since = ?,
    rescheduled_at = COALESCE(?, rescheduled_at), finished_at = ?";
const END_LEASE: &str = ", lease_owner = NULL, lease_token = NULL, lease_until = NULL";
const WRITE_ID: &str = " WHERE email_id = ?";

/// Writes what follows for the message of `row`, and gives the time it is due then. The lease ends unless the message
/// is being sent still.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    row: &DeliveryRow,
    next: &Transition,
) -> Result<Micros, StoreError> {
    let delivery = &next.delivery;
    let due_at = match next.due {
        Due::Unchanged => row.due_at,
        Due::In(pause) => later(transaction.now, pause),
        // A time in the past means now, and no earlier.
        Due::At(at) => micros(at).max(transaction.now),
    };
    let state = sql!(
        WRITE,
        delivery.status.as_str(),
        delivery.attempt,
        delivery.lost_leases,
        delivery.dot_allowed,
        delivery.maybe_sent(),
        json::write("deliveries.recipients", &delivery.recipients)?,
        json::write("deliveries.attempts", &delivery.attempts)?,
        due_at,
        if next.resets_age { due_at } else { row.due_since },
        // A time that a person chose is a schedule; the pause of a retry is none.
        matches!(next.due, Due::At(_)).then_some(due_at),
        // A late result of a message that has ended does not end it anew.
        delivery.status.is_final().then(|| row.finished_at.unwrap_or(transaction.now)),
    );
    let state = if delivery.status == Status::Sending { state } else { state.then(sql!(END_LEASE)) };
    state.then(sql!(WRITE_ID, row.id()?)).execute(transaction.connection).map_err(outcome)?;
    Ok(due_at)
}
