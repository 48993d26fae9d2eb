//! Results, of who holds the lease or held it once.

use std::sync::Arc;

use futures_util::future::join_all;

use super::delivery;
use super::job::Transaction;
use super::thread::ConnectionThread;
use crate::contracts::store::{Settled, Settlement, StoreError};
use crate::telemetry;

/// Records the results of attempts; without the relay's texts where the database refuses those.
pub(super) async fn settle(
    writer: &ConnectionThread,
    settlements: Vec<Arc<Settlement>>,
) -> Vec<Result<Settled, StoreError>> {
    // One job each: a refused one rolls back alone, and the writer still commits them together.
    join_all(settlements.into_iter().map(|one| settle_one(writer, one))).await
}

async fn settle_one(writer: &ConnectionThread, settlement: Arc<Settlement>) -> Result<Settled, StoreError> {
    let whole = Arc::clone(&settlement);
    let refusal = match writer.run(move |t| settle_on(t, &whole)).await {
        Err(refusal @ StoreError::Refused(_)) => refusal,
        settled => return settled,
    };
    let (id, reduced) = (settlement.lease.id, settlement.reduced());
    let settled = writer.run(move |t| settle_on(t, &reduced)).await?;
    telemetry::result_reduced(id, &refusal);
    Ok(settled)
}

/// Writes one result down. It is applied to the state as it is now rather than as it was claimed: while the lease was
/// held, an earlier holder may have said late that a recipient's server took the message.
fn settle_on(transaction: &mut Transaction<'_>, settlement: &Settlement) -> Result<Settled, StoreError> {
    let Some(row) = delivery::load(transaction, settlement.lease.id)? else { return Ok(Settled::Superseded) };
    let is_held = row.is_leased_by(settlement.lease.token);
    let decided = match row.delivery() {
        Ok(current) => settlement.transition_of(&current, is_held),
        // Spoilt under way: what was claimed could be read, and takes its place.
        Err(_) if is_held => settlement.transition(),
        Err(error) => return Err(error),
    };
    let Ok(next) = decided else { return Ok(Settled::Superseded) };
    delivery::write(transaction, &row, &next)?;
    Ok(Settled::Recorded(next.delivery.status))
}
