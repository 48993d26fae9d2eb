//! The programs that are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

const HTTP: &str = "MAILQUEUE_BENCH_HTTP";
const WORKER: &str = "MAILQUEUE_BENCH_WORKER";

/// The paths of mailqueue-http and mailqueue-worker.
#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) http: PathBuf,
    pub(crate) worker: PathBuf,
}

impl Binaries {
    /// Those that the environment names, else this workspace's, built when they are not new.
    pub(crate) fn find() -> Self {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        if let (Some(http), Some(worker)) = (named(HTTP), named(WORKER)) {
            return Self { http, worker };
        }
        let folder = &own_folder();
        build(folder);
        Self {
            http: named(HTTP).unwrap_or_else(|| folder.join("mailqueue-http")),
            worker: named(WORKER).unwrap_or_else(|| folder.join("mailqueue-worker")),
        }
    }

    /// True if they are of this workspace.
    pub(crate) fn are_own(&self) -> bool {
        let folder = own_folder();
        self.http.starts_with(&folder) && self.worker.starts_with(&folder)
    }

    /// Names them to a program that is started.
    pub(crate) fn name_to(&self, command: &mut Command) {
        command.env(HTTP, &self.http).env(WORKER, &self.worker);
    }
}

/// Where cargo puts binaries of this program's profile.
fn own_folder() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    // target/PROFILE/deps/performance-HASH
    own.ancestors().nth(2).expect("cargo puts it two folders deep").to_owned()
}

/// Builds them with the profile of this program, as they are shipped: not with what only tests need of their
/// dependencies.
fn build(folder: &Path) {
    let profile = if folder.ends_with("debug") { "dev" } else { "bench" };
    let target = folder.parent().expect("a profile's folder is in the target folder");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile, "-p", "mailqueue-http", "-p", "mailqueue-worker"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.expect("cargo runs").success(), "mailqueue-http and mailqueue-worker can be built");
}
