//! A running mailqueue-http or mailqueue-worker with its default settings.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::disk::Disk;
use crate::usage;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// One process; killed when it is dropped.
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Service {
    /// Starts a program with nothing but the settings that tell where its servers are.
    pub(crate) fn start(program: &Path, disk: &Disk, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let log = folder.path().join("log");
        let child = Command::new(program)
            .env_clear()
            .envs(disk.environment())
            .env("MAILQUEUE_LISTEN", "127.0.0.1:0")
            .env("MAILQUEUE_ADMIN_LISTEN", "127.0.0.1:0")
            .env("MAILQUEUE_FROM", "shop@example.com")
            .env("MAILQUEUE_FORM_TO", "shop@example.com")
            .envs(settings.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log can be written"))
            .spawn()
            .unwrap_or_else(|fault| panic!("{}: {fault}", program.display()));
        Self { child, log, _folder: folder }
    }

    /// Where mailqueue-http listens, once it does.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let begun = Instant::now();
        loop {
            let log = self.log();
            let address = log.split_once("url=http://").and_then(|(_, rest)| rest.split_once('/'));
            if let Some((address, _)) = address {
                return address.parse().expect("an address");
            }
            self.assert_runs();
            assert!(begun.elapsed() < START_TIMEOUT, "it does not listen:\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// # Panics
    ///
    /// With the end of its log, when it has ended.
    pub(crate) fn assert_runs(&mut self) {
        let status = self.child.try_wait().expect("a child can be waited for");
        assert!(status.is_none(), "it has ended:\n{}", self.log());
    }

    /// Seconds of processor time since its start.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        usage::cpu_seconds(self.child.id())
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        usage::resident(self.child.id())
    }

    /// Ends it in order: what it has begun is finished and written down.
    pub(crate) fn end(mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(told.expect("kill runs").success(), "it had ended:\n{}", self.log());
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "it ends in order:\n{}", self.log());
    }

    /// The last of what it logged.
    pub(crate) fn log(&self) -> String {
        let octets = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&octets[octets.len().saturating_sub(2000)..]).into_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
