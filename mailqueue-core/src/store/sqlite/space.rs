//! How much space the file system of the database has left.

use std::path::{Path, PathBuf};

/// The least that is kept free for results where nothing else is asked for, in octets; on small file systems an eighth.
const DEFAULT_RESERVE_OCTETS: u64 = 64 << 20;

/// Keeps the last of the space for results.
pub(super) struct Space {
    folder: PathBuf,
    keep_free: u64,
}

impl Space {
    /// The space for a database file, of which `keep_free` octets are not for new messages.
    pub(super) fn beside(file: &Path, keep_free: Option<u64>) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let size = measure(&folder).map_or(u64::MAX, |measured| measured.size);
        Self { keep_free: keep_free.unwrap_or_else(|| DEFAULT_RESERVE_OCTETS.min(size / 8)), folder }
    }

    /// Tells whether there is space for `octets` of new messages, which go into the log first and from there into the
    /// database. A file system without numbers has space until it refuses.
    pub(super) fn admits(&self, octets: usize) -> bool {
        let needed = self.keep_free.saturating_add(2 * octets as u64);
        measure(&self.folder).is_none_or(|measured| measured.free > needed)
    }

    /// How large SQLite's log may become, in octets, so that what is kept free holds what it adds to the database too.
    pub(super) fn log(&self) -> u64 {
        self.keep_free / 4
    }
}

/// The size and free space of a file system, in octets.
struct FileSystem {
    size: u64,
    free: u64,
}

#[cfg(unix)]
fn measure(folder: &Path) -> Option<FileSystem> {
    let measured = rustix::fs::statvfs(folder).ok()?;
    let octets = |blocks: u64| blocks.saturating_mul(measured.f_frsize);
    // `f_bavail`, as the rest of the free blocks is for root alone.
    Some(FileSystem { size: octets(measured.f_blocks), free: octets(measured.f_bavail) })
}

/// Only Unix gives the numbers.
#[cfg(not(unix))]
fn measure(_: &Path) -> Option<FileSystem> {
    None
}
