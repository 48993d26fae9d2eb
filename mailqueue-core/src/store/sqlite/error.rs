//! The outcome that an error of SQLite stands for.

use diesel::result::{DatabaseErrorKind, Error};

use crate::contracts::store::StoreError;

/// The outcome an error stands for. SQLite's messages name tables and columns, never values.
pub(super) fn outcome(error: Error) -> StoreError {
    use DatabaseErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    match error {
        Error::DatabaseError(
            UniqueViolation | CheckViolation | NotNullViolation | ForeignKeyViolation,
            information,
        ) => StoreError::Refused(information.message().into()),
        Error::DatabaseError(_, information) => by_message(information.message()),
        Error::DeserializationError(_) | Error::NotFound => {
            StoreError::Unreadable("a row does not have the shape this version expects".into())
        }
        Error::SerializationError(_) | Error::InvalidCString(_) => {
            StoreError::Refused("a value cannot be written to a column".into())
        }
        _ => StoreError::Unavailable("the connection to SQLite is in a state it should not be in".into()),
    }
}

/// diesel keeps SQLite's message but not its code; the messages are those of `sqlite3ErrStr`, which never change.
fn by_message(message: &str) -> StoreError {
    let text = message.into();
    match message {
        "database or disk is full" => StoreError::NoSpace(text),
        "out of memory" => StoreError::Overloaded(text),
        "string or blob too big" | "datatype mismatch" => StoreError::Refused(text),
        "database disk image is malformed" | "file is not a database" => StoreError::Unreadable(text),
        _ if message.starts_with("cannot store ") => StoreError::Refused(text),
        _ => StoreError::Unavailable(text),
    }
}

/// Tells whether somebody else holds a lock, so that trying again helps.
pub(super) fn is_locked(error: &Error) -> bool {
    let is_lock = |message: &str| matches!(message, "database is locked" | "database table is locked");
    matches!(error, Error::DatabaseError(_, information) if is_lock(information.message()))
}
