//! The lock that keeps a database file to one process.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::of_file;
use crate::contracts::store::StoreError;

/// How long a lock is waited for: a store that was just dropped still finishes what it was given.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// Takes the lock of a database file. It is free again when the answer is dropped, and when the process ends, however
/// that comes about.
///
/// It is a file of its own beside the database: SQLite loses its own locks when anybody else in the process closes the
/// database file.
pub(super) fn take(path: &Path) -> Result<File, StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Appended, as replacing the extension would give `mail.db` and `mail.sqlite` one lock.
    name.push("-lock");
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // The file is never deleted: another process could then lock a new one beside a lock that is held.
    let file = options.open(path.with_file_name(name)).map_err(|error| of_file(&error))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_TIMEOUT => {
                // Blocks, which is allowed here: opening runs off the async runtime.
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(taken()),
            Err(TryLockError::Error(error)) => return Err(of_file(&error)),
        }
    }
}

fn taken() -> StoreError {
    // The other process may be about to end: a service manager that starts this one again mends it.
    StoreError::Unavailable(
        "another process has this SQLite file open, and SQLite is for one process; end it, or take Postgres"
            .into(),
    )
}
