//! What happens when more comes in than goes out.

use std::sync::Arc;

use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Capacity, MessageId, MessageStore};
use mailqueue_testing::eventually;

use crate::test_server::{BROWSER, Reply, TestServer, plain};

const BODY: &str = r#"{"to":"a@example.org","subject":"s","text":"t"}"#;

async fn within(capacity: Capacity) -> (TestServer, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("mail.db"), &SqliteOptions::default()).await.unwrap();
    (TestServer::within(capacity, Arc::new(store), "127.0.0.1:0", plain()).await, directory)
}

#[track_caller]
fn assert_full(reply: &Reply) {
    let problem = reply.assert_problem(503, "service_unavailable");
    assert_eq!(reply.header("retry-after"), Some("10"));
    assert!(problem["detail"].as_str().unwrap().contains("waiting"), "{problem}");
}

/// Sends until it is taken in again.
async fn until_accepted(server: &TestServer) {
    eventually("there is room again", async || server.submit(BODY).await.status == 200).await;
}

#[tokio::test]
async fn above_four_fifths_of_what_may_wait_new_mail_is_refused() {
    let (server, _kept) = within(Capacity { messages: Some(10), octets: None }).await;
    let all = (0..32).map(|_| server.submit(BODY));
    let replies = futures_util::future::join_all(all).await;
    let (accepted, refused): (Vec<&Reply>, Vec<&Reply>) =
        replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((accepted.len(), refused.len()), (8, 24), "however many come at once");
    refused.into_iter().for_each(assert_full);
    assert_full(&server.fill_in("assunto=a&mensagem=b", &[]).await);
    let page = server.fill_in("assunto=a&mensagem=b", &[BROWSER]).await;
    assert_eq!((page.status, page.header("retry-after")), (503, Some("10")));
    // What is faulty is told so, and everything else goes on.
    server.submit(r#"{"to":"a","subject":"s","text":"t"}"#).await.assert_invalid(&["/to"]);
    assert_eq!(server.get("/emails").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
    assert_eq!(server.stored().await.len(), 8);
    // Room comes back when something is done with.
    let id: MessageId = accepted[0].id().parse().unwrap();
    server.outbox.cancel(id).await.unwrap();
    until_accepted(&server).await;
    assert_full(&server.submit(BODY).await);
    assert_eq!(server.stored().await.len(), 9);
}

#[tokio::test]
async fn the_backlog_is_limited_by_weight_too() {
    let (server, _kept) = within(Capacity { messages: None, octets: Some(1 << 20) }).await;
    let large = format!(r#"{{"to":"a@example.org","subject":"s","text":"{}"}}"#, "x".repeat(500_000));
    assert_eq!(server.submit(&large).await.status, 200);
    assert_full(&server.submit(&large).await);
    assert_eq!(server.submit(BODY).await.status, 200, "a small one still fits");
}

#[tokio::test]
async fn the_backlog_from_before_the_start_counts() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn MessageStore> = Arc::new(
        SqliteStore::open(directory.path().join("mail.db"), &SqliteOptions::default()).await.unwrap(),
    );
    let server = TestServer::on(Arc::clone(&store), "127.0.0.1:0", plain()).await;
    for _ in 0..9 {
        assert_eq!(server.submit(BODY).await.status, 200, "without a cap nothing is refused");
    }
    let capacity = Capacity { messages: Some(10), octets: None };
    let again = TestServer::within(capacity, store, "127.0.0.1:0", plain()).await;
    assert_full(&again.submit(BODY).await);
}

#[tokio::test]
async fn repeats_take_no_room() {
    let (server, _kept) = within(Capacity { messages: Some(10), octets: None }).await;
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k")];
    let first = server.send("POST", "/emails", &headers, BODY.as_bytes()).await.id();
    for _ in 0..20 {
        assert_eq!(server.send("POST", "/emails", &headers, BODY.as_bytes()).await.id(), first);
    }
    for _ in 0..7 {
        assert_eq!(server.submit(BODY).await.status, 200);
    }
    assert_full(&server.submit(BODY).await);
}
