//! Bringing the tables up to date.

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel_async::SimpleAsyncConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::super::migration_step::{self, CREATE_TABLE, MigrationStep};
use super::super::migrations::{self, MigrationError};
use super::error::{self, DriverError};
use super::session::Session;
use crate::contracts::store::StoreError;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The same with their SQL.
const STEPS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/postgres_steps.rs"));

/// Begins a transaction and waits in it for other processes that migrate; several that started together would otherwise
/// fail all but one. The lock, "mailq" in ASCII, and the longer limit end with the transaction: a pooler would keep
/// what belongs to a session.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = '10min';
    SET LOCAL idle_in_transaction_session_timeout = '10min'; SELECT pg_advisory_xact_lock(469785734257)";

/// Runs what is missing, one process at a time, and refuses a database that a newer version has migrated. Where
/// nothing is missing, or `run` is false, it only reads the table of migrations.
pub(super) async fn migrate(mut session: Session, run: bool) -> Result<(), StoreError> {
    if is_complete(&applied(&mut session).await?, run).map_err(refused)? {
        return Ok(());
    }
    session.batch_execute(BEGIN).await.map_err(error::outcome)?;
    session.batch_execute(CREATE_TABLE).await.map_err(refuse)?;
    // Read again: another process, perhaps of a newer version, may have migrated while this one waited.
    let applied = applied(&mut session).await?;
    is_complete(&applied, true).map_err(refused)?;
    for step in migration_step::steps(STEPS, &applied).iter().filter(|step| !step.is_applied) {
        session.batch_execute(step.sql).await.map_err(of_step)?;
        session.batch_execute(&step.note()).await.map_err(of_step)?;
    }
    // A session that has not committed is gone when this returns, and the transaction with it.
    session.batch_execute("COMMIT").await.map_err(of_step)
}

/// All steps, and which of them have run.
pub(super) async fn steps(mut session: Session) -> Result<Vec<MigrationStep>, StoreError> {
    Ok(migration_step::steps(STEPS, &applied(&mut session).await?))
}

/// Tells whether all our migrations have run; an error where they must have or where more than those have.
fn is_complete(applied: &[String], run: bool) -> Result<bool, MigrationError> {
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS)?;
    migrations::check(&migrations, applied, run)?;
    Ok(applied.len() == migrations.len())
}

fn refused(error: MigrationError) -> StoreError {
    StoreError::Refused(format!("migrating failed: {error}").into())
}

/// The outcome of a step that failed. A deadlock, a limit of time and a lost connection pass; a right or a table that is
/// missing does not.
fn of_step(error: diesel::result::Error) -> StoreError {
    let is_final = DriverError::of(&error).is_some_and(|error| !error.may_pass());
    match error::outcome(error) {
        StoreError::Refused(words) | StoreError::Unavailable(words) if is_final => {
            StoreError::Refused(format!("migrating failed: {words}").into())
        }
        other => other,
    }
}

/// The versions that have run; none where there is no table of migrations.
async fn applied(session: &mut Session) -> Result<Vec<String>, StoreError> {
    let exists = "SELECT 1 WHERE to_regclass('mailqueue_migrations') IS NOT NULL";
    // Reading a missing table would be an error, which ends a transaction and fills the server's log.
    if session.simple_query(exists).await.map_err(error::outcome)?.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session.simple_query("SELECT version FROM mailqueue_migrations").await.map_err(refuse)?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// A missing right or a server that takes no writes keeps the tables from being brought up to date.
fn refuse(error: diesel::result::Error) -> StoreError {
    match error::outcome(error) {
        StoreError::Refused(words) => StoreError::Refused(format!("migrating failed: {words}").into()),
        other => other,
    }
}
