//! A disk of a known speed: files in memory, and fsyncs that take as long as they are told.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Extra time of an fsync in every process, as on a server's NVMe disk with a protected cache.
pub(crate) const FAST: Duration = Duration::from_micros(50);
/// Extra time of an fsync on the slow disk.
pub(crate) const SLOW: Duration = Duration::from_millis(2);

pub(crate) const DELAY: &str = "FSYNC_DELAY_US";
const PRELOAD: &str = "LD_PRELOAD";
const MEMORY: &str = "/dev/shm";
/// Room for the databases of a run of the usual size.
const NEEDED: u64 = 4 << 30;

/// The library under all processes of the bench. Its folder goes with it.
pub(crate) struct Disk {
    library: PathBuf,
}

impl Disk {
    /// Compiles the library into a temporary folder.
    pub(crate) fn build() -> Self {
        let folder = tempfile::Builder::new().prefix("mailqueue-bench-").tempdir();
        let folder = folder.expect("a temporary directory").keep();
        // Postgres runs as another user.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&folder, open).expect("the folder is ours");
        let (source, library) = (folder.join("fsync_delay.c"), folder.join("fsync_delay.so"));
        std::fs::write(&source, include_str!("fsync_delay.c")).expect("the source can be written");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(compiler.status().expect("cc is installed").success(), "cc compiles the library");
        Self { library }
    }

    /// The library this process was started with, if it was.
    pub(crate) fn loaded() -> Option<Self> {
        std::env::var_os(DELAY)?;
        Some(Self { library: std::env::var_os(PRELOAD)?.into() })
    }

    /// Puts the fast disk under a program and all that it starts.
    pub(crate) fn put_under(&self, command: &mut Command, in_memory: bool) {
        command.env(PRELOAD, &self.library).env(DELAY, FAST.as_micros().to_string());
        if in_memory && std::env::var_os("TMPDIR").is_none() && has_room() {
            command.env("TMPDIR", MEMORY);
        }
    }

    /// What an environment that was emptied needs again.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        [(PRELOAD, self.library.display().to_string()), (DELAY, FAST.as_micros().to_string())]
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(folder) = self.library.parent() {
            // A few kilobytes stay at worst.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// The environment of a server on the slow disk.
pub(crate) fn slow() -> [(&'static str, String); 1] {
    [(DELAY, (FAST + SLOW).as_micros().to_string())]
}

/// The disk in words.
pub(crate) fn description() -> String {
    let folder = std::env::temp_dir();
    let place =
        if folder == Path::new(MEMORY) { "in memory".to_owned() } else { format!("in {}", folder.display()) };
    format!("files {place}, each fsync {} µs longer", FAST.as_micros())
}

fn has_room() -> bool {
    rustix::fs::statvfs(MEMORY).is_ok_and(|memory| memory.f_bavail * memory.f_frsize >= NEEDED)
}
