//! Writing down results.

use std::collections::HashSet;
use std::sync::Arc;

use diesel::sql_types::{Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use uuid::Uuid;

use super::row::{StateColumns, StateRow, state_columns};
use super::session::Session;
use super::statement::statement;
use super::{Failure, state};
use crate::contracts::store::{Settled, Settlement};
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;

statement! {
    /// One row's state, locked until the transaction ends.
    LockState { id: SqlUuid => Uuid } -> (Nullable<SqlUuid>, StateColumns) = concat!(
        "SELECT d.lease_token, ", state_columns!(), " FROM deliveries d WHERE d.email_id = ? FOR UPDATE")
}

/// Writes what the leases still allow in one statement, and looks at the rest row by row.
pub(super) async fn settle(
    connection: &mut Session,
    settlements: Vec<Arc<Settlement>>,
) -> Result<Vec<Settled>, Failure> {
    let mut results = vec![Settled::Superseded; settlements.len()];
    let mut seen = HashSet::with_capacity(settlements.len());
    let mut fenced = Vec::with_capacity(settlements.len());
    let mut late = Vec::new();
    for (n, settlement) in settlements.iter().enumerate() {
        match settlement.transition() {
            // Of two results for one message in a batch the second is decided on the row, as in the next batch.
            Ok(transition) if seen.insert(settlement.lease.id) => {
                results[n] = Settled::Recorded(transition.delivery.status);
                fenced.push(state::NewState::fenced(settlement, transition));
            }
            _ => late.push(n),
        }
    }
    let written = state::write(connection, fenced).await?;
    let written: HashSet<MessageId> = written.into_iter().map(|(id, _)| id).collect();
    late.extend((0..settlements.len()).filter(|n| {
        matches!(results[*n], Settled::Recorded(_)) && !written.contains(&settlements[*n].lease.id)
    }));
    for n in late {
        results[n] = settle_locked(connection, Arc::clone(&settlements[n])).await?;
    }
    Ok(results)
}

/// Decides on the row as it is now: the lease is gone, or a late success of an earlier one has changed the delivery.
async fn settle_locked(connection: &mut Session, settlement: Arc<Settlement>) -> Result<Settled, Failure> {
    connection
        .transaction(async move |connection| {
            let id = settlement.lease.id;
            let rows: Vec<(Option<Uuid>, StateRow)> = LockState { id: id.as_uuid() }.load(connection).await?;
            let Some((token, state)) = rows.into_iter().next() else { return Ok(Settled::Superseded) };
            let is_held = token == Some(settlement.lease.token);
            let decided = match Delivery::try_from(state) {
                Ok(current) => settlement.transition_of(&current, is_held),
                // Spoilt under way: what was claimed could be read, and takes its place.
                Err(_) if is_held => settlement.transition(),
                Err(error) => return Err(error.into()),
            };
            let Ok(transition) = decided else { return Ok(Settled::Superseded) };
            let status = transition.delivery.status;
            state::write(connection, vec![state::NewState::locked(id, transition)]).await?;
            Ok(Settled::Recorded(status))
        })
        .await
}
