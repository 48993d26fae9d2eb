//! How much space the file system of the database has left.

use std::path::{Path, PathBuf};

/// The least that is kept free for results where nothing else is asked for, in octets; on small file systems an eighth.
const KEPT_FREE: u64 = 64 << 20;

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
        let size = told(&folder).map_or(u64::MAX, |told| told.size);
        Self { keep_free: keep_free.unwrap_or_else(|| KEPT_FREE.min(size / 8)), folder }
    }

    /// Whether there is space for `octets` of new messages, which go into the log first and from there into the
    /// database. A file system that does not tell has space until it refuses.
    pub(super) fn admits(&self, octets: usize) -> bool {
        let needed = self.keep_free.saturating_add(2 * octets as u64);
        told(&self.folder).is_none_or(|told| told.free > needed)
    }

    /// How large SQLite's log may become, in octets, so that what is kept free holds what it adds to the database too.
    pub(super) fn log(&self) -> u64 {
        self.keep_free / 4
    }
}

/// What a file system says of itself, in octets.
struct Told {
    size: u64,
    free: u64,
}

#[cfg(unix)]
fn told(folder: &Path) -> Option<Told> {
    let told = rustix::fs::statvfs(folder).ok()?;
    let octets = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Some(Told { size: octets(told.f_blocks), free: octets(told.f_bavail) })
}

/// Only Unix tells.
#[cfg(not(unix))]
fn told(_: &Path) -> Option<Told> {
    None
}
