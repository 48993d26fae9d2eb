//! Where it was measured and with what.

use std::fs;
use std::process::Command;

use mailqueue_testing::tool;

use crate::disk;
use crate::site::Bench;

/// Machine, date and versions, in one paragraph.
pub(crate) fn describe(bench: &Bench) -> String {
    let postgres = &bench.postgres;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name");
    let memory = field("/proc/meminfo", "MemTotal");
    let memory = memory.trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / f64::from(1 << 20);
    let ask =
        |sql: &str| postgres.query(&postgres.url_for("postgres"), sql)[0][0].clone().unwrap_or_default();
    let server = ask("SHOW server_version");
    let server = server.split(' ').next().unwrap_or_default();
    format!(
        "{cores} cores of {processor}, {memory:.0} GB; {}. {}, mailqueue {}; {}, Postgres {server}, Redis {}, Postfix {}. \
         Postgres has fsync, full_page_writes and synchronous_commit on. Clients, servers and load generators share the machine.",
        disk::description(),
        ask("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')"),
        if bench.binaries.are_own() {
            said("git", &["describe", "--always", "--dirty"])
        } else {
            format!("as {}", bench.binaries.http.display())
        },
        said("rustc", &["--version"]).split(" (").next().unwrap_or_default(),
        said(tool("redis-server"), &["--version"])
            .split("v=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .unwrap_or("?"),
        said(tool("postconf"), &["-d", "-h", "mail_version"]),
    )
}

/// The first line of a program's output; `?` when it has none.
fn said(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("?").to_owned()
}

/// The first value of a name in a file of /proc.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let pair = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
    pair.map_or("?", |(_, value)| value.trim()).to_owned()
}
