//! The outcome that a database error stands for.
//!
//! diesel's errors do not hand the SQLSTATE on, so the driver's own travels boxed in the variant that takes any error,
//! and is taken out again here. Errors go by it, never by words, which servers translate.

use diesel::result::{DatabaseErrorKind, DeserializeFieldError, Error};
use tokio_postgres::error::{DbError, SqlState};

use super::super::unreadable;
use crate::contracts::store::StoreError;

/// An error of the server or of the socket.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.outcome())]
pub(super) struct DriverError(tokio_postgres::Error);

impl From<tokio_postgres::Error> for DriverError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl DriverError {
    /// The one inside an error of diesel's.
    pub(super) fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::QueryBuilderError(error) => error.downcast_ref(),
            _ => None,
        }
    }

    fn meaning(&self) -> Meaning {
        self.0.as_db_error().map_or(Meaning::Connection, meaning)
    }

    /// Tells whether the same may succeed later although nobody changes the server or what is asked of it.
    pub(super) fn may_pass(&self) -> bool {
        !matches!(self.meaning(), Meaning::Item | Meaning::Server)
    }

    /// Tells whether the connection it came by is of no use any more.
    pub(super) fn is_of_connection(&self) -> bool {
        self.meaning() == Meaning::Connection
    }

    /// Tells whether it is about an unknown parameter of the start: a pooler's answer to `options`.
    pub(super) fn is_of_start(&self) -> bool {
        self.0.code() == Some(&SqlState::PROTOCOL_VIOLATION)
    }

    /// The outcome it stands for.
    pub(super) fn outcome(&self) -> StoreError {
        let Some(error) = self.0.as_db_error() else { return StoreError::Unavailable(self.words().into()) };
        let detail = said(error).unwrap_or_else(|| self.unsaid()).into();
        match meaning(error) {
            Meaning::Item => StoreError::Refused(detail),
            Meaning::NoSpace => StoreError::NoSpace(detail),
            Meaning::Overloaded => StoreError::Overloaded(detail),
            Meaning::Again | Meaning::Connection | Meaning::Server => StoreError::Unavailable(detail),
        }
    }

    /// The same with the driver's error as its source, where that is of the socket: a server's error can quote a row.
    fn into_outcome(self) -> StoreError {
        match self.outcome() {
            StoreError::Unavailable(detail) if self.0.as_db_error().is_none() => {
                StoreError::Unavailable(detail.with_source(self.0))
            }
            other => other,
        }
    }

    /// The outcome it stands for where nothing was asked but to connect.
    pub(super) fn outcome_of_login(self) -> StoreError {
        match self.into_outcome() {
            // A login brings no item and no message that could be refused, and may succeed later.
            StoreError::Refused(detail) | StoreError::NoSpace(detail) => StoreError::Unavailable(detail),
            other => other,
        }
    }

    /// The same for the first connection: a server that refuses the user or has no such database is set up otherwise
    /// than the URL says, and time does not change that.
    pub(super) fn outcome_of_first_login(self) -> StoreError {
        let code = self.0.code().map(|code| code.code().get(..2).unwrap_or_default());
        // Authorization, catalog. The driver has no code for a password that the URL lacks.
        let is_final = matches!(code, Some("28" | "3D")) || self.0.to_string() == "invalid configuration";
        match self.outcome_of_login() {
            StoreError::Unavailable(detail) if is_final => StoreError::Refused(detail),
            other => other,
        }
    }

    /// The socket's own words; the driver's message alone says only that there was an error.
    fn words(&self) -> String {
        use std::error::Error;
        self.0.source().map_or_else(|| self.0.to_string(), |source| format!("{}: {source}", self.0))
    }

    fn unsaid(&self) -> String {
        let code = self.0.code().map_or("unknown", |code| code.code());
        format!("an error that may quote what was to be kept (SQLSTATE {code}); Postgres' own log has it")
    }
}

/// The thing that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The item itself, each time it is tried: a value, a constraint, a rule of the host's. Its neighbours may pass.
    Item,
    /// It was undone to let others go on; the same may succeed at once.
    Again,
    /// There is no space on a disk.
    NoSpace,
    /// More is asked of the server than it can do.
    Overloaded,
    /// This connection: it is broken, its server is going, or takes no writes.
    Connection,
    /// The server as it is set up: a missing table, a missing right.
    Server,
}

fn meaning(error: &DbError) -> Meaning {
    let code = error.code().code();
    match code {
        // Serialization failure, deadlock.
        "40001" | "40P01" => return Meaning::Again,
        // Read-only; database dropped, idle session ended, shutting down, crashed, not up yet.
        "25006" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => return Meaning::Connection,
        // A name that another client of a pooler's connection has given, or that ours has lost.
        "26000" | "42P05" => return Meaning::Connection,
        "53100" => return Meaning::NoSpace,
        // Cancelled, most likely by the time limit; a lock that was not to be had.
        "57014" | "55P03" => return Meaning::Overloaded,
        // A value of another type than the column's.
        "42804" => return Meaning::Item,
        _ => {}
    }
    // A trigger or a policy speaks of the row, by any SQLSTATE it chooses.
    match error.routine() {
        Some("exec_stmt_raise" | "ExecWithCheckOptions") => return Meaning::Item,
        // "cached plan must not change result type": prepared before the table was changed.
        Some("RevalidateCachedQuery") => return Meaning::Connection,
        _ => {}
    }
    match code.get(..2).unwrap_or_default() {
        // Connection, transaction state, system, configuration file, internal error.
        "08" | "25" | "58" | "F0" | "XX" => Meaning::Connection,
        // Too many connections, or no memory.
        "53" => Meaning::Overloaded,
        // Feature, authorization, transaction, catalog, schema, rights, object state, intervention.
        "0A" | "0B" | "0L" | "0P" | "28" | "2D" | "34" | "3B" | "3D" | "3F" | "40" | "42" | "55" | "57" => {
            Meaning::Server
        }
        // 22 data, 23 constraints, 44 check options, 54 limits, P0 PL/pgSQL, and what hosts make up.
        _ => Meaning::Item,
    }
}

/// The server's own words, if they cannot quote a value: it says them outside any function of the host's, of
/// something else than data. Details and hints are always left out. Constraint violations name constraints.
fn said(error: &DbError) -> Option<String> {
    let is_constraint = error.code().code().starts_with("23") && error.table().is_some();
    let is_of_server = meaning(error) != Meaning::Item || is_constraint;
    let is_free = error.where_().is_none() && error.routine() != Some("exec_stmt_raise");
    (is_of_server && is_free).then(|| error.message().to_owned())
}

/// The error of a step on a connection.
pub(super) enum Failure {
    Database(Error),
    Store(StoreError),
}

impl Failure {
    fn has_meaning(&self, meaning: Meaning) -> bool {
        let Self::Database(error) = self else { return false };
        DriverError::of(error).is_some_and(|error| error.meaning() == meaning)
    }

    /// Tells whether the disk is full.
    pub(super) fn is_lack_of_space(&self) -> bool {
        self.has_meaning(Meaning::NoSpace)
    }

    /// Tells whether the same step may succeed at once: the database undid it to let others go on.
    pub(super) fn may_pass_again(&self) -> bool {
        self.has_meaning(Meaning::Again)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => outcome(error),
            Failure::Store(error) => error,
        }
    }
}

/// The outcome behind an error of diesel's. Its text never holds a value of a row.
pub(super) fn outcome(error: Error) -> StoreError {
    match error {
        Error::DatabaseError(kind, info) => by_kind(&kind, info.message()),
        Error::DeserializationError(error) => unreadable(&*error),
        Error::SerializationError(_) => StoreError::Refused("a value cannot be written to a column".into()),
        Error::QueryBuilderError(error) => match error.downcast::<DriverError>() {
            Ok(error) => error.into_outcome(),
            Err(other) => StoreError::Unavailable(other.to_string().into()),
        },
        other => StoreError::Unavailable(other.to_string().into()),
    }
}

/// An error on a host's own connection, which is diesel's and knows no SQLSTATE.
fn by_kind(kind: &DatabaseErrorKind, message: &str) -> StoreError {
    match kind {
        DatabaseErrorKind::UniqueViolation
        | DatabaseErrorKind::ForeignKeyViolation
        | DatabaseErrorKind::NotNullViolation
        | DatabaseErrorKind::CheckViolation => StoreError::Refused("a constraint is violated".into()),
        // The driver's own words.
        DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => {
            StoreError::Unavailable(message.into())
        }
        _ => StoreError::Unavailable("an error that may quote what was to be kept".into()),
    }
}

/// Names the column. What a parser says of it is not repeated, since that repeats what it read.
fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> StoreError {
    let field = error.downcast_ref::<DeserializeFieldError>();
    let column = field.and_then(|field| field.field_name.as_deref()).unwrap_or("a column");
    match field.and_then(|field| field.error.downcast_ref()) {
        Some(json) => unreadable::json(column, json),
        None => StoreError::Unreadable(format!("{column} is not what this version expects").into()),
    }
}
