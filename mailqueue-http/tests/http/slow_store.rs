//! A database that is slow, or stops answering.

use mailqueue_core::connect::StoreOptions;
use std::time::{Duration, Instant};

use mailqueue_testing::{Postgres, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::test_server::{Reply, TestServer, plain};

/// A server on a database of its own.
async fn on(url: &str) -> TestServer {
    let options = StoreOptions { allow_unsafe: true, ..StoreOptions::default() };
    let store = mailqueue_core::connect::store_with(&url.into(), options).await.unwrap();
    TestServer::on(store, "127.0.0.1:0", plain()).await
}

/// Has every statement on the messages wait for a while, as a database does that is being changed.
async fn hold_up(url: &str, seconds: u32) {
    let sql =
        format!("BEGIN; LOCK TABLE emails IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT");
    let held = url.to_owned();
    tokio::task::spawn_blocking(move || Postgres::shared().query(&held, &sql));
    until_locks(url, 1, "granted").await;
}

/// Waits until so many have the lock, or wait for it.
async fn until_locks(url: &str, count: usize, which: &str) {
    let sql = format!("SELECT 1 FROM pg_locks WHERE relation = 'emails'::regclass AND {which}");
    let come = async || Postgres::shared().query(url, &sql).len() >= count;
    eventually(&format!("{count} come to the lock"), come).await;
}

/// Submits as many messages as are given to the database at once, each in a call of its own; answers in turn.
async fn fill_calls(server: &TestServer, url: &str) -> [Reply; 3] {
    let after = async |waiting, subject| {
        until_locks(url, waiting, "NOT granted").await;
        submit(server, subject).await
    };
    let (first, second, third) = tokio::join!(submit(server, "first"), after(1, "second"), after(2, "third"));
    [first, second, third]
}

fn body(subject: &str) -> String {
    format!(r#"{{"to":"a@example.org","subject":"{subject}","text":"t"}}"#)
}

async fn submit(server: &TestServer, subject: &str) -> Reply {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", subject)];
    server.send("POST", "/emails", &headers, body(subject).as_bytes()).await
}

/// Waits until these are stored, and no others.
async fn until_stored(server: &TestServer, subjects: &[&str]) {
    let stored = async || {
        let stored = server.stored().await;
        let mut found: Vec<&str> = stored.iter().map(|one| &*one.summary.subject).collect();
        found.sort_unstable();
        found == subjects
    };
    eventually(&format!("{subjects:?} are stored"), stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_answered_in_time() {
    let url = Postgres::shared().database();
    let server = on(&url).await;
    submit(&server, "before").await.id();
    hold_up(&url, 13).await;
    let begun = Instant::now();
    let (given, (late, list)) = tokio::join!(fill_calls(&server, &url), async {
        // Three are on their way, so a further one waits behind them.
        until_locks(&url, 3, "NOT granted").await;
        tokio::join!(submit(&server, "late"), server.get("/emails"))
    });
    assert!(begun.elapsed() < Duration::from_millis(11_000), "{:?}", begun.elapsed());
    for reply in given.into_iter().chain([late, list]) {
        reply.assert_problem(503, "service_unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    // What had been given to the database may be kept, as the answer said. What had not is not: nobody waits for it.
    until_stored(&server, &["before", "first", "second", "third"]).await;
    submit(&server, "after").await.id();
    let repeated = submit(&server, "first").await;
    assert_eq!(repeated.header("idempotent-replayed"), Some("true"));
    until_stored(&server, &["after", "before", "first", "second", "third"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_is_told_at_once() {
    let mut postgres = Postgres::start();
    let server = on(&postgres.database()).await;
    submit(&server, "before").await.id();
    postgres.freeze();
    let begun = Instant::now();
    let replies = tokio::join!(
        submit(&server, "a"),
        submit(&server, "b"),
        server.get("/emails"),
        server.get("/readyz")
    );
    assert!(begun.elapsed() < Duration::from_millis(11_000), "{:?}", begun.elapsed());
    for reply in [replies.0, replies.1, replies.2, replies.3] {
        reply.assert_problem(503, "service_unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    postgres.thaw();
    // Both had been given to the database and may be kept; a repeat makes sure of it.
    submit(&server, "a").await.id();
    submit(&server, "b").await.id();
    until_stored(&server, &["a", "b", "before"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_on_a_slow_store_has_sent_its_message() {
    let url = Postgres::shared().database();
    let server = on(&url).await;
    submit(&server, "before").await.id();
    hold_up(&url, 2).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = body("gone");
    let head = "POST /emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    until_locks(&url, 1, "NOT granted").await;
    drop(stream);
    until_stored(&server, &["before", "gone"]).await;
}
