//! The first second of a process: faults that time does not mend end it at once, others are said.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mailqueue_testing::{Postgres, eventually};

fn worker(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailqueue-worker"));
    command.env_clear().envs(settings.iter().copied());
    command
}

/// Starts it with settings that cannot become right, and gives what it says.
fn refused(settings: &[(&str, &str)]) -> String {
    let output = worker(settings).output().expect("the worker runs");
    let text = String::from_utf8(output.stderr).expect("it says it in UTF-8");
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("waiting for"), "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

/// A server on which `guest` needs a password, which is `right`.
async fn with_passwords() -> Postgres {
    let postgres = Postgres::start();
    let url = postgres.url_for("postgres");
    postgres.query(&url, "CREATE ROLE guest LOGIN PASSWORD 'right'");
    let file = postgres.query(&url, "SHOW hba_file")[0][0].clone().expect("it has one");
    let rules = "('host all guest all scram-sha-256'), ('host all all all trust'), ('local all all trust')";
    postgres.query(&url, &format!("COPY (VALUES {rules}) TO '{file}'"));
    let loaded = || postgres.query(&url, "SELECT pg_conf_load_time()");
    let before = loaded();
    postgres.query(&url, "SELECT pg_reload_conf()");
    // Forked after the rules were read, a backend goes by them.
    eventually("the rules are read", async || loaded() != before).await;
    postgres
}

#[tokio::test]
async fn a_permanent_fault_ends_it_at_once_with_one_sentence() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "no directory").expect("a file");
    let below = |name: &str| file.join(name).display().to_string();
    let postgres = with_passwords().await;
    let guest = |login: &str| postgres.url_for("postgres").replacen("postgres@", &format!("{login}@"), 1);
    for url in [
        guest("guest:hunter2"),
        guest("guest"),
        guest("nobody"),
        postgres.url_for("missing"),
        format!("sqlite://{}", below("mail.db")),
        "mysql://root:hunter2@db/mail".to_owned(),
    ] {
        let said = refused(&[("DATABASE_URL", &url)]);
        assert!(said.starts_with("mailqueue-worker: DATABASE_URL: "), "{said}");
    }
    let database = format!("sqlite://{}", directory.path().join("mail.db").display());
    let said = refused(&[("DATABASE_URL", &database), ("SMTP_URL", &format!("file://{}", below("outbox")))]);
    assert!(said.starts_with("mailqueue-worker: SMTP_URL: "), "{said}");
}

/// A process that runs; killed at the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a worker logs until all of `pieces` were said.
fn said_until(settings: &[(&str, &str)], pieces: &[&str]) -> String {
    let mut running = Running(worker(settings).stderr(Stdio::piped()).spawn().expect("the worker starts"));
    let mut log = BufReader::new(running.0.stderr.take().expect("it is piped"));
    let mut said = String::new();
    while !pieces.iter().all(|piece| said.contains(piece)) {
        assert_ne!(log.read_line(&mut said).expect("UTF-8"), 0, "it ended without all of {pieces:?}: {said}");
    }
    said
}

#[test]
fn it_names_what_it_works_on_and_what_is_not_there_and_works() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = format!("sqlite://{}", Path::new(directory.path()).join("mail.db").display());
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:1/3"),
        ("SMTP_URL", "smtp://ana:hunter2@nowhere.invalid:2525,smtps://ana:hunter2@127.0.0.1:1"),
        ("MAILQUEUE_ADMIN_LISTEN", "127.0.0.1:0"),
    ];
    let names = [
        concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
        &database,
        "queue=\"redis://127.0.0.1:1/3\"",
        "relays=\"smtp://nowhere.invalid:2525,smtps://127.0.0.1:1\"",
        "event=\"queue.unreachable\"",
        "event=\"relay.unresolved\" relay=\"smtp://nowhere.invalid:2525\"",
        "working",
    ];
    let said = said_until(&settings, &names);
    assert!(!said.contains("hunter2") && !said.contains("ana"), "{said}");
}

#[tokio::test]
async fn a_postgres_is_named_without_its_password() {
    let postgres = with_passwords().await;
    let login = postgres.url_for("postgres").replacen("postgres@", "guest:right@", 1) + "?sslmode=disable";
    let name = format!("postgres://{}/postgres", postgres.address());
    let settings = [("DATABASE_URL", login.as_str()), ("MAILQUEUE_ADMIN_LISTEN", "127.0.0.1:0")];
    let said = said_until(&settings, &[&format!("database=\"{name}\"")]);
    assert!(!said.contains("right@"), "{said}");
}
