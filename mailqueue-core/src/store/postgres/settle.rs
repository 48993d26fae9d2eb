//! Writing down results.

use std::collections::HashSet;
use std::sync::Arc;

use diesel::sql_types::{Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use uuid::Uuid;

use super::bisect::bisect;
use super::delivery::{self, DeliveryColumns, DeliveryRow, NewState, delivery_columns};
use super::error::Failure;
use super::run::Runner;
use super::session::Session;
use super::statement::statement;
use crate::contracts::store::{Settled, Settlement, StoreError};
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::telemetry;

statement! {
    /// One row's state, locked until the transaction ends.
    LockState { id: SqlUuid => Uuid } -> (Nullable<SqlUuid>, DeliveryColumns) = concat!(
        "SELECT d.lease_token, ", delivery_columns!(), " FROM deliveries d WHERE d.email_id = ? FOR UPDATE")
}

/// Records the results of attempts; without the relay's texts where the database refuses those.
pub(super) async fn settle(
    runner: &Runner,
    settlements: Vec<Arc<Settlement>>,
) -> Vec<Result<Settled, StoreError>> {
    let settled = bisect(settlements.clone(), |part| {
        let runner = runner.clone();
        Box::pin(async move { settle_together(&runner, part).await })
    });
    let mut results = settled.await;
    for (result, settlement) in results.iter_mut().zip(&settlements) {
        if let Err(refusal @ StoreError::Refused(_)) = result {
            *result = settle_reduced(runner, settlement, refusal.clone()).await;
        }
    }
    results
}

async fn settle_together(
    runner: &Runner,
    settlements: Vec<Arc<Settlement>>,
) -> Result<Vec<Settled>, StoreError> {
    runner.run(move |connection| Box::pin(settle_on(connection, settlements.clone()))).await
}

async fn settle_reduced(
    runner: &Runner,
    settlement: &Settlement,
    refusal: StoreError,
) -> Result<Settled, StoreError> {
    // A reply that the host's rules refuse must not cost the result, or the message is sent twice.
    let settled = settle_together(runner, vec![Arc::new(settlement.reduced())]).await?;
    telemetry::result_reduced(settlement.lease.id, &refusal);
    settled.into_iter().next().ok_or(refusal)
}

/// Writes what the leases still allow in one statement, and looks at the rest row by row.
async fn settle_on(
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
                fenced.push(NewState::fenced(settlement, transition));
            }
            _ => late.push(n),
        }
    }
    let written = delivery::write(connection, fenced).await?;
    let written: HashSet<MessageId> = written.into_iter().map(|(id, _)| id).collect();
    late.extend((0..settlements.len()).filter(|n| {
        matches!(results[*n], Settled::Recorded(_)) && !written.contains(&settlements[*n].lease.id)
    }));
    // Each in a transaction of its own that locks one row, so that no order among them can deadlock.
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
            let rows: Vec<(Option<Uuid>, DeliveryRow)> =
                LockState { id: id.as_uuid() }.load(connection).await?;
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
            delivery::write(connection, vec![NewState::locked(id, transition)]).await?;
            Ok(Settled::Recorded(status))
        })
        .await
}
