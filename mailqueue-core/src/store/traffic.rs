//! The key of a count, as both databases keep it.

use super::unreadable;
use crate::contracts::controls::TrafficKey;
use crate::contracts::store::StoreError;
use crate::domain::reason::Reason;

/// The text of a reason; empty where nothing went wrong.
pub(super) fn reason(key: &TrafficKey) -> &'static str {
    key.reason.map_or("", Reason::as_str)
}

/// The key of a row. A reason of another version counts as other.
pub(super) fn key(lane: &str, outcome: &str, reason: &str) -> Result<TrafficKey, StoreError> {
    Ok(TrafficKey {
        lane: lane.parse().map_err(unreadable::value)?,
        outcome: outcome.parse().map_err(unreadable::value)?,
        reason: (!reason.is_empty()).then(|| reason.parse().unwrap_or(Reason::Other)),
    })
}
