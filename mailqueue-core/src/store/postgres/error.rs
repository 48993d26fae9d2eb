//! What a database error means for the caller.

use diesel::result::{DatabaseErrorKind, DeserializeFieldError, Error};

use super::super::unreadable;
use crate::contracts::store::StoreError;

/// The outcome behind a driver's error. Its text never holds a value of a row: details and hints are left out, and of
/// messages those that may quote one.
pub(super) fn outcome(error: Error) -> StoreError {
    match error {
        Error::DatabaseError(kind, info) => by_kind(kind, info.message()),
        Error::DeserializationError(error) => unreadable(&*error),
        Error::SerializationError(_) => {
            StoreError::Refused("a value cannot be written to a column".to_owned())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// Names the column. What a parser says of it is not repeated, since that repeats what it read.
fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> StoreError {
    let field = error.downcast_ref::<DeserializeFieldError>();
    let column = field.and_then(|field| field.field_name.as_deref()).unwrap_or("a column");
    match field.and_then(|field| field.error.downcast_ref()) {
        Some(json) => unreadable::json(column, json),
        None => StoreError::Unreadable(format!("{column} is not what this version expects")),
    }
}

fn by_kind(kind: DatabaseErrorKind, message: &str) -> StoreError {
    match kind {
        // These name constraints and columns; the values stand in the details.
        DatabaseErrorKind::UniqueViolation
        | DatabaseErrorKind::ForeignKeyViolation
        | DatabaseErrorKind::NotNullViolation
        | DatabaseErrorKind::CheckViolation => StoreError::Refused(message.to_owned()),
        // The driver's own words.
        DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => {
            StoreError::Unavailable(message.to_owned())
        }
        _ if is_data_fault(message) => StoreError::Refused("a value the database cannot hold".to_owned()),
        _ if is_out_of_space(message) => StoreError::NoSpace(safe(message)),
        _ if is_out_of_room(message) => StoreError::Overloaded(safe(message)),
        _ => StoreError::Unavailable(safe(message)),
    }
}

/// A message that is known to speak of the server and not of a value; else a pointer to where it can be read. Among the
/// others are those that triggers and policies of the host's make up.
fn safe(message: &str) -> String {
    const BEGINNINGS: [&str; 17] = [
        "cached plan must not change",
        "canceling statement due to",
        "cannot execute ",
        "connection ",
        "could not ",
        "current transaction is aborted",
        "deadlock detected",
        "invalid page in block",
        "missing chunk number",
        "out of memory",
        "out of shared memory",
        "permission denied for",
        "remaining connection slots",
        "sorry, too many clients",
        "terminating connection",
        "the database system is",
        "too many connections",
    ];
    let is_known = BEGINNINGS.iter().any(|beginning| message.starts_with(beginning));
    if is_known || message.ends_with(" does not exist") {
        return message.to_owned();
    }
    "an error that may quote what was to be kept; Postgres' own log has it".to_owned()
}

/// diesel does not pass the SQLSTATE on, so these go by the (untranslated) message: class 22, a value of this one row.
fn is_data_fault(message: &str) -> bool {
    [
        "invalid byte sequence",
        "invalid input syntax",
        "unsupported Unicode escape",
        "out of range",
        "too large",
        "index row size",
    ]
    .iter()
    .any(|fault| message.contains(fault))
}

/// 53100 disk full.
fn is_out_of_space(message: &str) -> bool {
    message.contains("No space left") || message.starts_with("could not extend")
}

/// 53200 out of memory, 53300 too many connections, 57014 statement timeout.
fn is_out_of_room(message: &str) -> bool {
    ["out of memory", "too many clients", "statement timeout", "remaining connection slots"]
        .iter()
        .any(|fault| message.contains(fault))
}

/// Whether the disk is full.
pub(super) fn is_lack_of_space(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(_, info) if is_out_of_space(info.message()))
}

/// Whether doing the same again may succeed at once: the database undid it to end a deadlock.
pub(super) fn is_deadlock(error: &Error) -> bool {
    match error {
        Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        Error::DatabaseError(_, info) => info.message().contains("deadlock detected"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(message: &str) -> String {
        outcome(Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()))).to_string()
    }

    #[test]
    fn what_may_quote_a_value_is_not_repeated() {
        for message in [
            "invalid input syntax for type uuid: \"ana@example.org\"",
            "malformed array literal: \"ana@example.org\"",
            "date/time field value out of range: \"ana@example.org\"",
            "mail to ana@example.org is against the house rules",
        ] {
            assert!(!text_of(message).contains("ana"), "{}", text_of(message));
        }
    }

    #[test]
    fn what_speaks_of_the_server_is_repeated() {
        for message in [
            "the database system is shutting down",
            "could not extend file \"base/5/16384\": No space left on device",
            "permission denied for table emails",
            "relation \"emails\" does not exist",
        ] {
            assert!(text_of(message).ends_with(message), "{}", text_of(message));
        }
    }
}
