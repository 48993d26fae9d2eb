//! Bringing the tables up to date.

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::super::migration_step::{self, CREATE_TABLE, MigrationStep};
use super::super::migrations::{self, MigrationError, mailqueue_migrations};
use super::error::{self, is_locked};
use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::store::StoreError;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The same with their SQL.
const STEPS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sqlite_steps.rs"));

/// Runs what is missing, one process at a time, and refuses a database that a newer version has migrated.
/// With `run` false it only checks that nothing is missing, and changes nothing.
pub(super) fn migrate(connection: &mut SqliteConnection, run: bool) -> Result<(), StoreError> {
    // Exclusive from the start, as two that read first could not both go on to write.
    let result = if run { connection.exclusive_transaction(locked) } else { check(connection) };
    result.map_err(|error| match error.downcast::<diesel::result::Error>() {
        Ok(locked) if is_locked(&locked) => StoreError::Unavailable(ErrorDetail::of(locked)),
        Ok(other) => match error::of_opening(*other) {
            StoreError::Refused(words) => StoreError::Refused(format!("migrating failed: {words}").into()),
            // A full disk, no memory, a disk that fails for a while.
            other => other,
        },
        Err(other) => StoreError::Refused(format!("migrating failed: {other}").into()),
    })
}

fn locked(connection: &mut SqliteConnection) -> Result<(), MigrationError> {
    let migrations = MigrationSource::<Sqlite>::migrations(&MIGRATIONS)?;
    connection.batch_execute(CREATE_TABLE)?;
    let applied = applied(connection)?;
    migrations::check(&migrations, &applied, true)?;
    for step in migration_step::steps(STEPS, &applied).iter().filter(|step| !step.is_applied) {
        connection.batch_execute(step.sql)?;
        connection.batch_execute(&step.note())?;
    }
    Ok(())
}

fn check(connection: &mut SqliteConnection) -> Result<(), MigrationError> {
    let migrations = MigrationSource::<Sqlite>::migrations(&MIGRATIONS)?;
    // Without the table nothing has run.
    migrations::check(&migrations, &applied(connection).unwrap_or_default(), false)
}

/// All steps, and which of them have run: without the table none has.
pub(super) fn steps(connection: &mut SqliteConnection) -> Vec<MigrationStep> {
    migration_step::steps(STEPS, &applied(connection).unwrap_or_default())
}

fn applied(connection: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    mailqueue_migrations::table.select(mailqueue_migrations::version).load(connection)
}
