//! What is said of a row that makes no sense.

use crate::contracts::store::StoreError;

/// A column whose JSON cannot be read. It names the column and the place but nothing of the text, which is somebody's
/// address or subject: the parser's own words would quote it.
pub(super) fn json(column: &str, error: &serde_json::Error) -> StoreError {
    let (kind, at) = (error.classify(), error.column());
    StoreError::Unreadable(format!("{column}, octet {at}: {kind:?} error"))
}
