//! Results, of who holds the lease or held it once.

use super::delivery;
use super::job::Transaction;
use crate::contracts::store::{Settled, Settlement, StoreError};

/// Writes one result down. It is applied to the state as it is now rather than as it was claimed: while the lease was
/// held, an earlier holder may have said late that a recipient's server took the message.
pub(super) fn settle(
    transaction: &mut Transaction<'_>,
    settlement: &Settlement,
) -> Result<Settled, StoreError> {
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
