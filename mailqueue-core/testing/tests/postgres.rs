//! The throw-away Postgres cluster.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use mailqueue_testing::Postgres;
use tokio_postgres::NoTls;

fn text(postgres: &Postgres, url: &str, sql: &str) -> String {
    postgres.query(url, sql)[0][0].clone().expect("the value is not NULL")
}

#[test]
fn databases_of_the_shared_server_are_apart() {
    let postgres = Postgres::shared();
    let (one, other) = (postgres.database(), postgres.database());
    assert_ne!(one, other);
    postgres.query(&one, "CREATE TABLE t (n int)");
    assert_eq!(text(postgres, &other, "SELECT to_regclass('t') IS NULL"), "t");
    assert_eq!(text(postgres, &one, "SHOW max_connections"), "200");
}

#[test]
fn a_database_is_copied_with_its_content() {
    let postgres = Postgres::shared();
    let template = postgres.database();
    postgres.query(&template, "CREATE TABLE t (n int); INSERT INTO t VALUES (42)");
    let (by_url, by_name) =
        (postgres.database_from(&template), postgres.database_from(template.rsplit('/').next().unwrap()));
    postgres.query(&by_url, "UPDATE t SET n = 43");
    assert_eq!(text(postgres, &by_name, "SELECT n FROM t"), "42");
}

#[tokio::test]
async fn it_can_be_used_from_within_a_runtime() {
    let url = Postgres::shared().database();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(client.query_one("SELECT 7", &[]).await.unwrap().get::<_, i32>(0), 7);
}

#[test]
fn committed_rows_are_there_after_an_immediate_and_a_fast_stop() {
    let mut postgres = Postgres::start();
    let url = postgres.database();
    postgres.query(&url, "CREATE TABLE t (n int)");
    for (n, stop) in [Postgres::stop_immediate, Postgres::stop_fast].into_iter().enumerate() {
        postgres.query(&url, &format!("INSERT INTO t VALUES ({n})"));
        stop(&mut postgres);
        assert_eq!(TcpStream::connect(postgres.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        postgres.start_again();
        assert_eq!(text(&postgres, &url, "SELECT count(*) FROM t"), (n + 1).to_string());
    }
}

#[tokio::test]
async fn a_frozen_server_answers_nobody_until_it_is_thawed() {
    let mut postgres = Postgres::start();
    let url = postgres.database();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SELECT 1").await.unwrap();
    postgres.freeze();
    // The backend of an open connection is frozen too, not the postmaster alone.
    let mut answer = Box::pin(client.batch_execute("SELECT 1"));
    let silence = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
    assert!(silence.is_err(), "a frozen server answered");
    postgres.thaw();
    answer.await.unwrap();
}

#[test]
fn settings_are_the_callers() {
    let postgres = Postgres::with_settings(&[("max_connections", "7")]);
    assert_eq!(text(&postgres, &postgres.url_for("postgres"), "SHOW max_connections"), "7");
    assert_eq!(text(&postgres, &postgres.url_for("postgres"), "SHOW fsync"), "off");
    let durable = Postgres::durable();
    let url = durable.url_for("postgres");
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        assert_eq!(text(&durable, &url, &format!("SHOW {setting}")), "on", "{setting}");
    }
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let mut postgres = Postgres::start();
    let directory = text(&postgres, &postgres.url_for("postgres"), "SHOW data_directory");
    let process = format!("/proc/{}", postgres.pid());
    assert!(std::fs::exists(&directory).unwrap());
    assert!(std::fs::exists(&process).unwrap());
    postgres.freeze();
    drop(postgres);
    assert!(!std::fs::exists(&directory).unwrap());
    assert!(!std::fs::exists(&process).unwrap());
}

#[test]
fn a_server_dropped_while_it_is_stopped_leaves_nothing_behind() {
    let mut postgres = Postgres::start();
    let directory = text(&postgres, &postgres.url_for("postgres"), "SHOW data_directory");
    postgres.stop_fast();
    assert!(std::fs::exists(&directory).unwrap());
    drop(postgres);
    assert!(!std::fs::exists(&directory).unwrap());
}

#[test]
#[should_panic(expected = "syntax error")]
fn a_faulty_statement_panics_in_postgres_own_words() {
    let postgres = Postgres::shared();
    postgres.query(&postgres.url_for("postgres"), "SELEKT");
}
