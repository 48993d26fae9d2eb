//! A server's own directory and the user it runs as.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's `nobody` and `nogroup`: Postgres refuses to run as root.
const NOBODY: u32 = 65_534;

/// A temporary directory that belongs to the user the server runs as.
///
/// It is removed on drop, except while a server runs in it: then that server's watchdog removes it, since
/// only the watchdog is certain to outlive this process.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    is_watched: bool,
}

impl Directory {
    pub(crate) fn create(server: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix(&format!("mailqueue-{server}-"))
            .tempdir()
            .expect("a temporary directory could not be created");
        if runs_as_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY))
                .expect("the server's directory could not be given to nobody");
        }
        // Kept on drop: a watchdog may have to remove it later.
        Self { path: directory.keep(), is_watched: false }
    }

    /// Whether a watchdog takes care of the removal from now on.
    pub(crate) fn set_watched(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs in this directory, as `nobody` if this process is root's.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // English messages on every machine: `PostfixSink` looks for "in use" in the log.
        command.current_dir(&self.path).env("LC_ALL", "C");
        if runs_as_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// The end of the server's log, for the sentence of a panic.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(self.path.join("log")).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(4_000)..];
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.is_watched {
            // Whoever runs the tests loses a few megabytes of /tmp at worst.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn runs_as_root() -> bool {
    // `getuid` is unsafe code or one more dependency.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
