//! A step of a database's tables.

/// A step that brings a database's tables from one version to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationStep {
    /// The name: a day, a number and an imperative.
    pub name: &'static str,
    /// Its SQL, without the line that notes that it has run.
    pub sql: &'static str,
    /// True if it has run.
    pub is_applied: bool,
}

impl MigrationStep {
    /// The SQL by which it is brought about by hand: the step and the line that notes it, as one transaction.
    #[must_use]
    pub fn script(&self) -> String {
        let Self { name, sql, .. } = self;
        format!("-- {name}\nBEGIN;\n{}\n{};\nCOMMIT;\n", sql.trim_end(), self.note())
    }

    /// The statement that notes that it has run. The version is digits of a folder's name.
    pub(super) fn note(&self) -> String {
        format!("INSERT INTO mailqueue_migrations (version) VALUES ('{}')", version(self.name))
    }
}

/// The version of a step as the table of migrations has it: the digits of its day and number.
fn version(name: &str) -> String {
    name.split('_').next().unwrap_or_default().replace('-', "")
}

/// The SQL that creates the table of migrations where it is missing.
pub const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS mailqueue_migrations (
    version text NOT NULL CONSTRAINT mailqueue_migrations_pk PRIMARY KEY,
    run_on  text NOT NULL DEFAULT CURRENT_TIMESTAMP
)";

/// The steps of a table of names and SQL, of which those in `applied` have run.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn steps(table: &[(&'static str, &'static str)], applied: &[String]) -> Vec<MigrationStep> {
    let step = |&(name, sql)| {
        let is_applied = applied.iter().any(|applied| applied.replace('-', "") == version(name));
        MigrationStep { name, sql, is_applied }
    };
    table.iter().map(step).collect()
}
