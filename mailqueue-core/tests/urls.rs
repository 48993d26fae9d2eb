//! Every URL of ours is read alike, as RFC 3986 says: `%20` is a space, and `+` is a plus sign wherever it stands.
#![cfg(all(feature = "postgres", feature = "sqlite", feature = "redis", feature = "smtp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so and end")]

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mailqueue_core::connect::{self, ConnectError, QueueOptions, StoreOptions};
use mailqueue_core::contracts::transport::{Gate, Outgoing};
use mailqueue_core::domain::lane::Lane;
use mailqueue_testing::{Certificate, Postgres, Redis};
use secrecy::SecretString;
use tempfile::TempDir;

/// The name of a file, and how a path in a URL says it.
const NAME: &str = "a b+c?d#e%f";
const ENCODED: &str = "a%20b+c%3Fd%23e%25f";

fn folder() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    (folder, path)
}

fn detail(result: Result<impl Sized, ConnectError>) -> String {
    result.map(|_| ()).expect_err("it is faulty").to_string()
}

#[tokio::test]
async fn the_path_of_a_sqlite_file_is_decoded() {
    let (folder, path) = folder();
    let url = SecretString::from(format!("sqlite://{path}/{ENCODED}"));
    connect::store(&url).await.unwrap();
    assert!(folder.path().join(NAME).is_file(), "{:?}", names(folder.path()));
}

#[tokio::test]
async fn the_path_of_a_directory_of_mail_is_decoded() {
    let (folder, path) = folder();
    let transport = connect::transport(&format!("file://{path}/{ENCODED}%2C1").into()).unwrap();
    let message = Outgoing {
        id: mailqueue_core::MessageId::new(time::OffsetDateTime::UNIX_EPOCH),
        sender: "shop@example.com".to_owned(),
        recipients: vec!["ana@example.org".parse().unwrap()],
        raw: Bytes::from_static(b"Subject: hello\r\n\r\nhello\r\n"),
        smtputf8: false,
    };
    transport.send(&message, &Open).await;
    assert_eq!(names(folder.path()), [format!("{NAME},1")]);
}

#[test]
fn parameters_and_fragments_behind_a_path_are_refused() {
    for url in ["sqlite://mail.db?mode=ro", "sqlite://mail#1.db"] {
        assert_eq!(
            detail(connect::check_store(&url.into())),
            "store: takes no parameters and no #fragment (inside a path write ? as %3F and # as %23)"
        );
    }
    assert!(
        detail(connect::transport(&"file://out?box".into())).starts_with("transport: takes no parameters")
    );
    assert_eq!(detail(connect::check_store(&"sqlite://".into())), "store: must name a path: sqlite://PATH");
}

#[tokio::test]
async fn parameters_for_postgres_arrive_decoded() {
    let server = Postgres::shared();
    let database = server.database();
    let options = "options=-c%20work_mem%3D4321kB&application_name=a+b%20c@d";
    let url = SecretString::from(format!("{database}?{options}"));
    // The tests' servers do not wait for the disk.
    let lenient = StoreOptions { allow_unsafe: true, ..StoreOptions::default() };
    let store = connect::store_with(&url, lenient).await.unwrap();
    // The pool holds the connection that answered.
    store.now().await.unwrap();
    let seen = server.query(
        &database,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'a+b c@d' AND datname = current_database()",
    );
    assert_ne!(seen[0][0].as_deref(), Some("0"), "no connection bears the name");
    drop(store);
}

#[test]
fn certificates_are_found_under_names_with_spaces_and_plus_signs() {
    let (folder, path) = folder();
    let certificate = Certificate::new();
    std::fs::copy(certificate.ca_pem_file(), folder.path().join("a b+c.pem")).unwrap();
    for name in ["a%20b+c.pem", "a%20b%2Bc.pem"] {
        connect::transport(&format!("smtp://127.0.0.1?ca={path}/{name}").into()).unwrap();
        let postgres = format!("postgres://127.0.0.1/x?sslmode=require&sslrootcert={path}/{name}");
        connect::check_store(&postgres.into()).unwrap();
    }
    assert!(connect::transport(&format!("smtp://127.0.0.1?ca={path}/a+b+c.pem").into()).is_err());
}

#[tokio::test]
async fn a_password_of_redis_is_decoded() {
    let server = Redis::shared();
    server.command(&["ACL", "SETUSER", "us+er", "on", ">p+ w/@?#", "~*", "+@all"]);
    let url = format!("redis://us+er:p+%20w%2F%40%3F%23@{}/3", server.address());
    let queue = connect::queue_with(Some(&url.into()), QueueOptions { name: "urls".to_owned() }).unwrap();
    assert_eq!(queue.pull(&Lane::ALL, 1, Duration::ZERO).await.unwrap().ids, []);
}

struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_send_dot(&self) -> bool {
        true
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
