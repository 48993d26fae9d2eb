//! The tools that are measured beside: they do one thing, so nothing that does more is faster.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use mailqueue_testing::{PostfixSink, Postgres, tool};

/// Rows a second that pgbench inserts: one row of 1 KiB in each transaction, prepared.
pub(crate) fn pgbench(postgres: &Postgres, clients: usize, time: Duration) -> f64 {
    let url = postgres.database();
    postgres.query(
        &url,
        "CREATE TABLE mail (id uuid PRIMARY KEY, due_at timestamptz NOT NULL, body text NOT NULL);
         CREATE INDEX mail_due ON mail (due_at)",
    );
    let mut script = tempfile::NamedTempFile::new().expect("a temporary file");
    let insert = "INSERT INTO mail VALUES (gen_random_uuid(), now(), repeat('x', 1024));";
    script.write_all(insert.as_bytes()).expect("it can be written");
    let output = Command::new(tool("pgbench"))
        .args(["-n", "-M", "prepared", "-j", "1", "-c", &clients.to_string()])
        .args(["-T", &time.as_secs().max(1).to_string(), "-f"])
        .arg(script.path())
        .arg(&url)
        .output()
        .expect("pgbench runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
    rate.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no rate in: {text}"))
}

/// Messages a second that Postfix's smtp-source sends to smtp-sink over kept connections.
pub(crate) fn smtp_source(sessions: usize, messages: usize) -> f64 {
    let sink = PostfixSink::counting();
    let begun = Instant::now();
    let status = Command::new(tool("smtp-source"))
        .args(["-d", "-s", &sessions.to_string(), "-m", &messages.to_string(), "-l", "1024"])
        .args(["-f", "shop@example.com", "-t", "user@example.org"])
        .arg(sink.address().to_string())
        .status()
        .expect("smtp-source runs");
    let took = begun.elapsed();
    assert!(status.success(), "smtp-source sends everything");
    assert_eq!(sink.received(), messages, "smtp-sink has everything");
    messages as f64 / took.as_secs_f64()
}
