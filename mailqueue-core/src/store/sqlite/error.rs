//! The outcome that an error of SQLite stands for.

use std::io;

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

/// The outcome of opening a file that cannot be opened. A folder that is missing or not writable stays so.
pub(super) fn of_file(error: &io::Error) -> StoreError {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let detail = format!("its file cannot be written to: {error}").into();
    match error.kind() {
        NotFound | PermissionDenied | NotADirectory | IsADirectory | ReadOnlyFilesystem => {
            StoreError::Refused(detail)
        }
        _ => StoreError::Unavailable(detail),
    }
}

/// The outcome of preparing a connection that is not of use; a lock and a disk may come free.
pub(super) fn of_opening(error: Error) -> StoreError {
    let may_pass = is_locked(&error)
        || matches!(&error, Error::DatabaseError(_, told) if told.message() == "disk I/O error");
    match outcome(error) {
        StoreError::Unavailable(detail) if !may_pass => StoreError::Refused(detail),
        other => other,
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
