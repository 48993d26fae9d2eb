//! The migrations, and the table of those that have run.
//!
//! diesel's own table of migrations would be shared with a host that uses diesel for its own tables, so ours is
//! another.

use diesel::backend::Backend;
use diesel::connection::Connection;
use diesel::migration::Migration;

/// Any error of migrating.
pub(super) type MigrationError = Box<dyn std::error::Error + Send + Sync>;

diesel::table! {
    /// The migrations that have run.
    mailqueue_migrations (version) {
        /// The folder's date and number.
        version -> Text,
        /// The time it ran.
        run_on -> Text,
    }
}

/// Refuses a database that a newer version has migrated, and, unless `run`, one that lacks a migration of ours.
pub(super) fn check<DB: Backend>(
    ours: &[Box<dyn Migration<DB>>],
    applied: &[String],
    run: bool,
) -> Result<(), MigrationError> {
    let versions: Vec<String> = ours.iter().map(|migration| migration.name().version().to_string()).collect();
    if let Some(newer) = applied.iter().find(|version| !versions.contains(version)) {
        return Err(format!("the database has migration {newer}, which this version does not know").into());
    }
    match versions.iter().find(|version| !applied.contains(version)) {
        Some(missing) if !run => Err(format!("migration {missing} has not run and `migrate` is off").into()),
        _ => Ok(()),
    }
}

/// Runs those of `migrations` that are not in `applied`, in order, each with its row in the table of migrations. The
/// caller has begun the transaction, and holds the lock that keeps other processes from doing the same.
pub(super) fn run_pending<C>(
    connection: &mut C,
    mut migrations: Vec<Box<dyn Migration<C::Backend>>>,
    applied: &[String],
) -> Result<(), MigrationError>
where
    C: Connection + 'static,
    C::Backend: Backend,
{
    // The source promises no order, and a version begins with its date.
    migrations.sort_by_key(|migration| migration.name().version().to_string());
    for migration in migrations {
        let version = migration.name().version().to_string();
        if applied.contains(&version) {
            continue;
        }
        // The version is the name of a folder in this repository: digits and dashes.
        let note = format!("INSERT INTO mailqueue_migrations (version) VALUES ('{version}')");
        migration.run(connection)?;
        connection.batch_execute(&note)?;
    }
    Ok(())
}
