//! Repeating a request is harmless.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::gated_store::GatedStore;
use crate::test_server::{Reply, TestServer, plain};

const BODY: &[u8] = br#"{"to":"a@example.org","subject":"s","text":"t"}"#;

async fn post(server: &TestServer, path: &str, key: &str, body: &[u8]) -> Reply {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    server.send("POST", path, &headers, body).await
}

#[tokio::test]
async fn a_repeat_under_the_same_key_is_one_message() {
    let server = TestServer::open().await;
    let send = async |key: &str, subject: &str| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let body = json!({"to": "a@example.org", "subject": subject, "text": "t"}).to_string();
        server.send("POST", "/emails", &headers, body.as_bytes()).await
    };
    let first = send("order-7", "s").await;
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = send("order-7", "s").await;
    assert_eq!(again.id(), first.id());
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    send("order-7", "other").await.assert_problem(409, "invalid_idempotent_request");
    assert_ne!(send("order-8", "s").await.id(), first.id());
    assert_eq!(server.stored().await.len(), 2);
    for key in ["", &"k".repeat(257), "kä", "a\tb"] {
        let problem = send(key, "s").await.assert_problem(400, "invalid_idempotency_key");
        assert_eq!(problem["type"], "urn:mailqueue:problem:invalid-idempotency-key");
    }
    let twice = [("Content-Type", "application/json"), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")];
    let body = br#"{"to":"a@example.org","subject":"s","text":"t"}"#;
    server.send("POST", "/emails", &twice, body).await.assert_problem(400, "invalid_idempotency_key");
    assert_eq!(server.stored().await.len(), 2);
}

/// Objects have no order, and some clients write them in another one each time.
#[tokio::test]
async fn a_repeat_may_be_written_in_another_order() {
    let server = TestServer::open().await;
    let one = br#"{"to":"a@example.org","subject":"s","text":"t","headers":{"X-B":"1","X-A":"2"}}"#;
    let other = br#"{"headers":{"X-A":"2", "X-B":"1"},"text":"t","subject":"s","to":["a@example.org"]}"#;
    let first = post(&server, "/emails", "k", one).await;
    let again = post(&server, "/emails", "k", other).await;
    assert_eq!((again.id(), again.header("idempotent-replayed")), (first.id(), Some("true")));
}

#[tokio::test]
async fn many_at_once_under_one_key_are_one_message() {
    let server = TestServer::open().await;
    let batch = [b"[", BODY, b",", BODY, b"]"].concat();
    for (path, body, count) in [("/emails", BODY, 1), ("/emails/batch", &batch, 3)] {
        let all = (0..32).map(|_| post(&server, path, path, body));
        let replies = join_all(all).await;
        let answered: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
        let bodies: HashSet<&[u8]> = answered.iter().map(|reply| &*reply.body).collect();
        assert_eq!(bodies.len(), 1, "all get the same ids");
        let first = answered.iter().filter(|reply| reply.header("idempotent-replayed").is_none());
        assert_eq!(first.count(), 1, "and one of them is the first");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            reply.assert_problem(409, "concurrent_idempotent_requests");
        }
        assert_eq!(server.stored().await.len(), count);
    }
}

#[tokio::test]
async fn a_repeat_of_what_is_still_in_progress_is_told_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("mail.db"), &SqliteOptions::default()).await.unwrap();
    let (held, mut gate) = GatedStore::new(Arc::new(store));
    let server = TestServer::on(Arc::new(held), "127.0.0.1:0", plain()).await;
    let repeat = async {
        gate.reached().await;
        let repeat = post(&server, "/emails", "k", BODY).await;
        repeat.assert_problem(409, "concurrent_idempotent_requests");
        let after = repeat.header("retry-after").and_then(|after| after.parse::<u32>().ok());
        assert!(after.is_some_and(|seconds| seconds > 0), "{}", repeat.head);
        gate.open();
    };
    let (first, ()) = tokio::join!(post(&server, "/emails", "k", BODY), repeat);
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = post(&server, "/emails", "k", BODY).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.id(), first.id());
    assert_eq!(server.stored().await.len(), 1);
}

/// Words are repeated as words, and a time that has passed since does not make a repeat another request.
#[tokio::test]
async fn a_repeat_stays_a_repeat_as_time_goes_by() {
    let server = TestServer::open().await;
    let soon = server.outbox.clock().now() - time::Duration::milliseconds(58_500);
    let soon = soon.format(&Rfc3339).unwrap();
    let late = json!({"to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": soon});
    let words = json!({"to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": "in 1 hour"});
    let batch = json!([late, {"subject": 1}, words]);
    let permissive = async |body: &Value| {
        let headers = [
            ("Content-Type", "application/json"),
            ("Idempotency-Key", "batch"),
            ("X-Batch-Validation", "permissive"),
        ];
        server.send("POST", "/emails/batch", &headers, body.to_string().as_bytes()).await
    };
    let first = [
        post(&server, "/emails", "late", late.to_string().as_bytes()).await,
        post(&server, "/emails", "words", words.to_string().as_bytes()).await,
        permissive(&batch).await,
    ];
    // From here on the time lies too far in the past to be accepted.
    loop {
        let anew = server.submit(&late.to_string()).await;
        if anew.status == 422 {
            break;
        }
    }
    let again = [
        post(&server, "/emails", "late", late.to_string().as_bytes()).await,
        post(&server, "/emails", "words", words.to_string().as_bytes()).await,
        permissive(&batch).await,
    ];
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first.status, 200, "{}", first.text());
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{}", again.text());
        assert_eq!(first.json(), again.json());
    }
    permissive(&json!([late, {"subject": "x"}, words]))
        .await
        .assert_problem(409, "invalid_idempotent_request");
}
