//! One connection to the database file.

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::declare_sql_function;
use diesel::prelude::*;

use super::error::{is_locked, of_file, of_opening};
use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::store::StoreError;

/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 5000";

/// How long opening goes on while others open the same new file.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How much the log holds at most until it is copied into the database, and what it is cut back to after a burst.
const MAX_LOG_OCTETS: u64 = 16 << 20;
const MAX_LOG_FILE_OCTETS: u64 = 64 << 20;

/// SQLite's page.
const PAGE_OCTETS: u64 = 4096;

/// Every commit is on the disk before it is answered (`FULL`).
const PRAGMAS: [&str; 4] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    // A negative size is in KiB, a positive one in pages.
    "PRAGMA cache_size = -16384",
];

#[declare_sql_function]
extern "SQL" {
    /// Tells whether a text contains another one in lower case. SQLite's own LIKE knows only ASCII's cases.
    fn contains_folded(
        text: diesel::sql_types::Text,
        wanted: diesel::sql_types::Text,
    ) -> diesel::sql_types::Bool;
}

/// Opens the file, which is created if it is not there, readable for its owner alone: it holds people's mail.
pub(super) fn open(path: &Path) -> Result<SqliteConnection, StoreError> {
    // An absolute path is never taken for a URI or for `:memory:`.
    let path = std::path::absolute(path).map_err(|error| of_file(&error))?;
    // Created first: SQLite would make it readable for all, and gives its log the database's rights.
    create(&path).map_err(|error| of_file(&error))?;
    let refused = |detail: &str| StoreError::Refused(detail.into());
    let path = path.to_str().ok_or_else(|| refused("its path is not valid UTF-8"))?;
    let mut connection =
        SqliteConnection::establish(path).map_err(|error| refused(&format!("its file: {error}")))?;
    // First of all, so that the pragmas below wait for a lock as well.
    connection.batch_execute(BUSY_TIMEOUT).map_err(of_opening)?;
    for pragma in PRAGMAS {
        retry_while_locked(|| connection.batch_execute(pragma)).map_err(of_opening)?;
    }
    contains_folded_utils::register_impl(&mut connection, |text: String, wanted: String| {
        text.to_lowercase().contains(&wanted)
    })
    .map_err(of_opening)?;
    Ok(connection)
}

/// Opens a database that is nowhere and empty.
pub(super) fn open_in_memory() -> Result<SqliteConnection, StoreError> {
    SqliteConnection::establish(":memory:").map_err(|error| StoreError::Unavailable(ErrorDetail::of(error)))
}

/// Limits the log of the connection that writes, to a few pages at the least.
pub(super) fn limit_log(connection: &mut SqliteConnection, octets: u64) -> Result<(), StoreError> {
    let (pages, file) =
        (octets.min(MAX_LOG_OCTETS).div_ceil(PAGE_OCTETS).max(16), octets.min(MAX_LOG_FILE_OCTETS));
    let pragmas = format!("PRAGMA wal_autocheckpoint = {pages}; PRAGMA journal_size_limit = {file}");
    connection.batch_execute(&pragmas).map_err(|error| StoreError::Unavailable(ErrorDetail::of(error)))
}

fn create(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        // One that was there keeps the rights its owner gave it.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Tries again while others hold the lock: to change the journal mode, SQLite does not wait as it does elsewhere.
fn retry_while_locked(mut work: impl FnMut() -> QueryResult<()>) -> QueryResult<()> {
    let start = Instant::now();
    loop {
        match work() {
            Err(error) if is_locked(&error) && start.elapsed() < OPEN_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(10));
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;
    use diesel::sql_types::{BigInt, Text};

    use super::open;
    use crate::store::sqlite::statement::sql;

    #[derive(QueryableByName, Debug, PartialEq)]
    struct Settings {
        #[diesel(sql_type = Text)]
        journal: String,
        #[diesel(sql_type = BigInt)]
        synchronous: i64,
        #[diesel(sql_type = BigInt)]
        foreign_keys: i64,
        #[diesel(sql_type = BigInt)]
        timeout: i64,
    }

    #[test]
    fn durability_settings_are_set() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut connection = open(&folder.path().join("mail.db")).expect("a new database");
        let settings: Settings = sql!(
            "SELECT (SELECT journal_mode FROM pragma_journal_mode) AS journal,
                (SELECT synchronous FROM pragma_synchronous) AS synchronous,
                (SELECT foreign_keys FROM pragma_foreign_keys) AS foreign_keys,
                (SELECT timeout FROM pragma_busy_timeout) AS timeout",
        )
        .get_result(&mut connection)
        .expect("settings can be read");
        let full = 2;
        let expected = Settings { journal: "wal".into(), synchronous: full, foreign_keys: 1, timeout: 5000 };
        assert_eq!(settings, expected);
    }
}
