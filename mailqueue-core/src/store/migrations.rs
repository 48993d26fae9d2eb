//! The migrations, and the table of those that have run.
//!
//! diesel's own table of migrations would be shared with a host that uses diesel for its own tables, so ours is
//! another.

use diesel::backend::Backend;
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
