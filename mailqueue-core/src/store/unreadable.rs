//! Rows that cannot be read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::store::StoreError;
use crate::telemetry;

/// The time for which such a row is left alone, so that it takes no room from others: a worker of another version may
/// read it, or somebody mends it.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The last time at which a table was warned of: pauses are read every second or two.
static WARNED: Mutex<BTreeMap<&'static str, Instant>> = Mutex::new(BTreeMap::new());

/// What was read of a row that stands beside the messages. `None` where it cannot be read: it is warned of, once in
/// [`RETRY_INTERVAL`] a table, and the others are used without it.
pub(super) fn left_out<T>(table: &'static str, row: Result<T, StoreError>) -> Option<T> {
    let error = match row {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    // A map whose holder has panicked is whole: nothing in between can.
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.get(table).is_none_or(|at| at.elapsed() >= RETRY_INTERVAL) {
        warned.insert(table, Instant::now());
        drop(warned);
        telemetry::row_left_out(table, &error);
    }
    None
}

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
