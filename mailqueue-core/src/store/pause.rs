//! The scope of a pause, as both databases keep it.

use crate::contracts::store::StoreError;
use crate::domain::pause_scope::PauseScope;

/// The scope of a row.
pub(super) fn scope(kind: &str, name: &str) -> Result<PauseScope, StoreError> {
    PauseScope::from_parts(kind, name)
        .ok_or_else(|| StoreError::Unreadable("a pause of a scope that this version does not know".into()))
}
