//! How much of what is sent is held at once.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_http::Options;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::gated_store::{Gate, GatedStore};
use crate::test_server::{Reply, TestServer, plain};

/// A server with half of 32 MiB for messages that are being worked on, whose store answers nobody before the gate opens.
async fn small_server() -> (TestServer, Arc<GatedStore>, Gate, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("mail.db"), &SqliteOptions::default()).await.unwrap();
    let (held, gate) = GatedStore::new(Arc::new(store));
    let held = Arc::new(held);
    let options = Options { memory: 32 << 20, ..plain() };
    let server = TestServer::on(Arc::clone(&held) as _, "127.0.0.1:0", options).await;
    (server, held, gate, folder)
}

/// About 5.6 MB as it is posted: there is memory to work on one.
fn large() -> Vec<u8> {
    let file = json!({"filename": "f", "content": STANDARD.encode(vec![7; 4 << 20])});
    let draft = json!({"to": "a@example.org", "subject": "s", "text": "t", "attachments": [file]});
    draft.to_string().into_bytes()
}

async fn post(server: &TestServer, path: &str, body: &[u8]) -> Reply {
    server.send("POST", path, &[("Content-Type", "application/json")], body).await
}

/// Has small requests answered while large ones are under way.
async fn small_ones_are_answered(server: &TestServer) {
    for _ in 0..20 {
        post(server, "/emails", br#"{"to": 1}"#).await.assert_problem(422, "validation_error");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_wait_for_memory_and_hold_up_nobody() {
    let (server, held, mut gate, _folder) = small_server().await;
    let body = large();
    let batch = [b"[", body.as_slice(), b"]"].concat();
    let meanwhile = async {
        gate.reached().await;
        small_ones_are_answered(&server).await;
        assert_eq!(held.begun(), 1, "messages that are worked on at once");
        gate.open();
    };
    let (first, second, ()) =
        tokio::join!(post(&server, "/emails", &body), post(&server, "/emails/batch", &batch), meanwhile);
    for reply in [first, second] {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(server.stored().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_too_long_for_memory_gets_a_503() {
    let (server, held, mut gate, _folder) = small_server().await;
    let body = large();
    let meanwhile = async {
        gate.reached().await;
        // There is room for both to come in, so that each waits once.
        let others = [(), ()].map(|()| post(&server, "/emails", &body));
        let (refused, ()) =
            tokio::join!(futures_util::future::join_all(others), small_ones_are_answered(&server));
        for reply in refused {
            reply.assert_problem(503, "service_unavailable");
            assert!(reply.header("retry-after").is_some(), "{}", reply.head);
        }
        assert_eq!(held.begun(), 1);
        gate.open();
    };
    let (first, ()) = tokio::join!(post(&server, "/emails", &body), meanwhile);
    first.id();
    post(&server, "/emails", &body).await.id();
    assert_eq!(server.stored().await.len(), 2, "and nothing of those that were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_request_that_sends_nothing_takes_no_memory_from_small_ones() {
    let (server, _held, mut gate, _folder) = small_server().await;
    let mut promises = Vec::new();
    for length in std::iter::repeat_n(250_000, 100).chain(std::iter::repeat_n(15_000_000, 10)) {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = "POST /emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{{").as_bytes()).await.unwrap();
        promises.push(stream);
    }
    small_ones_are_answered(&server).await;
    gate.open();
    let sound = br#"{"to":"a@example.org","subject":"s","text":"t"}"#;
    post(&server, "/emails", sound).await.id();
}
