//! Changes that a person asks for.

use diesel::prelude::*;

use super::delivery::{self, DeliveryRow};
use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::time;
use crate::contracts::queue::Entry;
use crate::contracts::store::{Change, Changed, StoreError};
use crate::domain::id::MessageId;
use crate::domain::transition::{DeliveryPolicy, decide};

const LOAD: &str = "SELECT d.* FROM deliveries d JOIN emails e ON e.id = d.email_id WHERE d.email_id = ?";
const OF_TENANT: &str = " AND e.tenant = ?";

/// Does it if the state allows it.
pub(super) fn change(
    transaction: &mut Transaction<'_>,
    tenant: Option<&str>,
    id: MessageId,
    change: Change,
) -> Result<Changed, StoreError> {
    let mut load = sql!(LOAD, id);
    if let Some(tenant) = tenant {
        load = load.then(sql!(OF_TENANT, tenant));
    }
    let row: Option<DeliveryRow> = load.get_result(transaction.connection).optional().map_err(outcome)?;
    let Some(row) = row else { return Ok(Changed::NotFound) };
    let current = row.delivery()?;
    // Once retention has taken the content there is nothing left to be sent.
    if !row.has_content {
        return Ok(Changed::NotAllowed(current.status));
    }
    // The policy has no effect on a change.
    match decide(&current, &change.event(), &DeliveryPolicy::default()) {
        Err(refused) => Ok(Changed::NotAllowed(refused.status)),
        Ok(next) => {
            let due_at = time(delivery::write(transaction, &row, &next)?)?;
            let entry = Entry { lane: row.lane()?, due_at, id };
            Ok(Changed::Done { status: next.delivery.status, entry })
        }
    }
}
