//! What a database error means for the caller.

use diesel::result::{DatabaseErrorKind, Error};

use crate::contracts::store::StoreError;

/// The outcome behind a driver's error. Its text never holds a value of a row: details and hints are left out.
pub(super) fn outcome(error: Error) -> StoreError {
    match error {
        Error::DatabaseError(kind, info) => by_kind(kind, info.message()),
        Error::DeserializationError(error) => StoreError::Unreadable(error.to_string()),
        Error::SerializationError(error) => StoreError::Refused(error.to_string()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

fn by_kind(kind: DatabaseErrorKind, message: &str) -> StoreError {
    let text = message.to_owned();
    match kind {
        DatabaseErrorKind::UniqueViolation
        | DatabaseErrorKind::ForeignKeyViolation
        | DatabaseErrorKind::NotNullViolation
        | DatabaseErrorKind::CheckViolation => StoreError::Refused(text),
        _ if is_data_fault(message) => StoreError::Refused("a value the database cannot hold".to_owned()),
        _ if is_out_of_room(message) => StoreError::Overloaded(text),
        _ => StoreError::Unavailable(text),
    }
}

/// diesel does not pass the SQLSTATE on, so these go by the (untranslated) message: class 22, a value of this one row.
fn is_data_fault(message: &str) -> bool {
    ["invalid byte sequence", "unsupported Unicode escape", "out of range", "too large", "index row size"]
        .iter()
        .any(|fault| message.contains(fault))
}

/// 53100 disk full, 53200 out of memory, 53300 too many connections, 57014 statement timeout.
fn is_out_of_room(message: &str) -> bool {
    [
        "No space left",
        "could not extend",
        "out of memory",
        "too many clients",
        "statement timeout",
        "remaining connection slots",
    ]
    .iter()
    .any(|fault| message.contains(fault))
}

/// Whether doing the same again may succeed at once: the database undid it to end a deadlock.
pub(super) fn is_deadlock(error: &Error) -> bool {
    match error {
        Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        Error::DatabaseError(_, info) => info.message().contains("deadlock detected"),
        _ => false,
    }
}
