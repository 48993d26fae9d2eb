//! Bringing the tables up to date.

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::super::ledger::{self, MigrationError, mailqueue_migrations};
use crate::contracts::store::StoreError;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Names our advisory lock: "mailq" in ASCII. diesel_migrations takes none, and of several processes that
/// start together all but one would fail.
const LOCK: i64 = 0x6d_61_69_6c_71;

/// Runs what is missing, one process at a time, and refuses a database that a newer version has migrated.
/// With `run` false it only checks that nothing is missing.
pub(super) async fn migrate(mut connection: AsyncPgConnection, run: bool) -> Result<(), StoreError> {
    let unavailable = |error: diesel::result::Error| StoreError::Unavailable(error.to_string());
    // Waiting for another process's migration is not a statement that hangs.
    connection.batch_execute("SET statement_timeout = '10min'").await.map_err(unavailable)?;
    connection.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await.map_err(unavailable)?;
    let blocking = tokio::task::spawn_blocking(move || {
        let mut connection = AsyncConnectionWrapper::<AsyncPgConnection>::from(connection);
        locked(&mut connection, run)
            .map_err(|error| StoreError::Refused(format!("migrating failed: {error}")))
    });
    // The connection, and with it the lock, is gone when this returns.
    blocking.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
}

fn locked(
    connection: &mut AsyncConnectionWrapper<AsyncPgConnection>,
    run: bool,
) -> Result<(), MigrationError> {
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS)?;
    diesel::connection::SimpleConnection::batch_execute(connection, ledger::CREATE)?;
    let applied: Vec<String> =
        mailqueue_migrations::table.select(mailqueue_migrations::version).load(connection)?;
    ledger::check(&migrations, &applied, run)?;
    if run {
        ledger::run_pending(connection, migrations, &applied)?;
    }
    Ok(())
}
