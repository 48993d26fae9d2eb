//! How much space the file system of the database has left.

use std::path::{Path, PathBuf};

/// The least that is kept free for results where nothing else is asked for, in octets; on small file systems an eighth.
#[cfg(unix)]
const KEPT_FREE: u64 = 64 << 20;

/// Keeps the last of the space for results.
pub(super) struct Space {
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix tells"))]
    folder: PathBuf,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix tells"))]
    keep_free: Option<u64>,
}

impl Space {
    /// The space for a database file, of which `keep_free` octets are not for new messages.
    pub(super) fn beside(file: &Path, keep_free: Option<u64>) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { folder: folder.unwrap_or(Path::new(".")).to_owned(), keep_free }
    }

    /// Whether there is space for new messages. A file system that does not tell has space until it refuses.
    #[cfg(unix)]
    pub(super) fn admits(&self) -> bool {
        let Ok(told) = rustix::fs::statvfs(&self.folder) else { return true };
        let size = told.f_blocks.saturating_mul(told.f_frsize);
        let free = told.f_bavail.saturating_mul(told.f_frsize);
        free > self.keep_free.unwrap_or_else(|| KEPT_FREE.min(size / 8))
    }

    /// Only Unix tells.
    #[cfg(not(unix))]
    pub(super) fn admits(&self) -> bool {
        true
    }
}
