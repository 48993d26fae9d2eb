//! Rows that cannot be read.

use std::time::Duration;

use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::store::StoreError;

/// The time for which such a row is left alone, so that it takes no room from others: a worker of another version may
/// read it, or somebody mends it.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// A value that makes no sense to this version; its error quotes nothing of it.
pub(super) fn value(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unreadable(ErrorDetail::of(error))
}

/// A column whose JSON cannot be read. It names the column and the place but nothing of the text, which is somebody's
/// address or subject: the parser's own words would quote it.
pub(super) fn json(column: &str, error: &serde_json::Error) -> StoreError {
    let (kind, at) = (error.classify(), error.column());
    StoreError::Unreadable(format!("{column}, octet {at}: {kind:?} error").into())
}
