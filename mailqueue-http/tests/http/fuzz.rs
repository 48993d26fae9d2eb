//! Whatever is sent: never a panic, never a 5xx.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::test_server::TestServer;

fn check<S: Strategy>(strategy: S, send: impl Fn(&Runtime, &TestServer, S::Value) -> u16) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(TestServer::open());
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&strategy, |value| {
        let before = runtime.block_on(server.stored()).len();
        let status = send(&runtime, &server, value);
        let after = runtime.block_on(server.stored()).len();
        prop_assert!((200..500).contains(&status), "status {status}");
        // The list shows a hundred at most.
        prop_assert!(status < 400 || before == after, "status {status}, and yet something was stored");
        Ok(())
    });
    checked.unwrap();
}

/// Any JSON, rather small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[a-z]{1,5}@[a-z]{1,9}\\.(org|com)".prop_map(Value::from),
        "[\\x00-\\x7f]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..6)
                .prop_map(|members| Value::from(members.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

/// A message with some members that may be anything.
fn nearly_a_message() -> impl Strategy<Value = Value> {
    let names = [
        "from",
        "to",
        "cc",
        "bcc",
        "reply_to",
        "subject",
        "text",
        "html",
        "headers",
        "attachments",
        "tags",
        "scheduled_at",
        "lane",
        "smtputf8",
    ];
    let changes = prop::collection::vec((prop::sample::select(names.to_vec()), any_json()), 0..4);
    changes.prop_map(|changes| {
        let mut body = json!({"to": "a@example.org", "subject": "s", "text": "t"});
        for (name, value) in changes {
            body[name] = value;
        }
        body
    })
}

#[test]
fn any_bytes_as_a_body() {
    let paths = prop::sample::select(vec!["/emails", "/api/emails", "/emails/batch", "/", "/api"]);
    let types = prop::sample::select(vec![
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ]);
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[ -~\\r\\n]{0,100}".prop_map(String::into_bytes),
        "(--x\r\n)?Content-Disposition: form-data; name=\"[a-z]{0,8}\"\r\n\r\n.{0,9}\r\n--x(--)?"
            .prop_map(String::into_bytes),
        "(assunto|mensagem|para|website)=.{0,20}&(mensagem|assunto)=.{0,20}".prop_map(String::into_bytes),
    ];
    check((paths, types, bytes), |runtime, server, (path, media_type, bytes)| {
        runtime.block_on(server.send("POST", path, &[("Content-Type", media_type)], &bytes)).status
    });
}

#[test]
fn any_json_as_a_message() {
    check(prop_oneof![any_json(), nearly_a_message()], |runtime, server, body| {
        runtime.block_on(server.submit(&body.to_string())).status
    });
}

#[test]
fn any_address() {
    check("/(emails|messages|api)?[ -~&&[^ #]]{0,40}", |runtime, server, path| {
        runtime.block_on(server.get(&path)).status
    });
}

#[test]
fn any_bytes_on_a_connection() {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..300),
        "(GET|POST|X) /[a-z]{0,6} HTTP/1\\.[01]\r\n([A-Za-z-]{1,12}: [ -~]{0,12}\r\n){0,4}\r\n"
            .prop_map(String::into_bytes),
    ];
    check(bytes, |runtime, server, mut bytes| {
        // Ends the head, so that the server need not wait for more.
        bytes.extend_from_slice(b"\r\n\r\n\r\n\r\n");
        let request = async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            answer
        };
        let answer = runtime.block_on(request);
        if answer.is_empty() { 400 } else { crate::test_server::Reply::parse(&answer).status }
    });
}
