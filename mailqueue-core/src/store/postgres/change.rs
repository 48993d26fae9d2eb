//! Changes that a person asks for.

use diesel::sql_types::{Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::unreadable;
use super::delivery::{self, DeliveryColumns, DeliveryRow, NewState, delivery_columns};
use super::error::Failure;
use super::session::Session;
use super::statement::statement;
use crate::contracts::queue::Entry;
use crate::contracts::store::{Change, Changed};
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::transition::{DeliveryPolicy, decide};

statement! {
    /// One row's state with what a change needs to know, locked until the transaction ends.
    LockForChange { id: SqlUuid => Uuid, tenant: Nullable<Text> => Option<String> }
        -> (Text, Timestamptz, Bool, DeliveryColumns) = concat!("
        SELECT d.lane, d.due_at, d.has_content, ", delivery_columns!(), "
        FROM deliveries d JOIN emails e ON e.id = d.email_id
        WHERE d.email_id = ? AND e.tenant = COALESCE(?, e.tenant)
        FOR UPDATE OF d")
}

/// Does what a person asks for, if the state allows it.
pub(super) async fn change(
    connection: &mut Session,
    tenant: Option<String>,
    id: MessageId,
    change: Change,
) -> Result<Changed, Failure> {
    connection
        .transaction(async move |connection| {
            let statement = LockForChange { id: id.as_uuid(), tenant };
            let rows: Vec<(String, OffsetDateTime, bool, DeliveryRow)> = statement.load(connection).await?;
            let Some((lane, due_at, has_content, state)) = rows.into_iter().next() else {
                return Ok(Changed::NotFound);
            };
            let delivery = Delivery::try_from(state)?;
            // The policy has no effect on a change; a message whose content was pruned cannot be sent any more.
            let decided = decide(&delivery, &change.event(), &DeliveryPolicy::default());
            let Some(transition) = decided.ok().filter(|_| has_content) else {
                return Ok(Changed::NotAllowed(delivery.status));
            };
            let status = transition.delivery.status;
            let written = delivery::write(connection, vec![NewState::locked(id, transition)]).await?;
            // The time as written: one in the past has become the server's now.
            let due_at = written.into_iter().next().map_or(due_at, |(_, due_at)| due_at);
            let lane = lane.parse().map_err(unreadable::value)?;
            Ok(Changed::Done { status, entry: Entry { lane, due_at, id } })
        })
        .await
}
