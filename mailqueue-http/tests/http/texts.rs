//! The text part that is made from HTML.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::test_server::TestServer;

async fn text(server: &TestServer, message: &Value) -> Value {
    let mut body = json!({"to": "a@example.org", "subject": "s"});
    for (name, value) in message.as_object().unwrap() {
        body[name] = value.clone();
    }
    let id = server.submit(&body.to_string()).await.id();
    server.get(&format!("/emails/{id}")).await.json()["text"].clone()
}

#[tokio::test]
async fn html_alone_gets_a_text() {
    let server = TestServer::open().await;
    let html = "<html><head><title>T</title><style>p{color:red}</style></head><body><h1>Olá</h1>\
                <p>Dear &lt;Ana&gt;, see <a href='https://example.com/7'>your order</a>.</p><script>alert(1)</script>";
    let made = text(&server, &json!({ "html": html })).await;
    let made = made.as_str().unwrap();
    for part in ["Olá", "Dear <Ana>, see", "your order", "https://example.com/7"] {
        assert!(made.contains(part), "{part} in {made}");
    }
    for part in ["alert", "color", "<p>"] {
        assert!(!made.contains(part), "{part} in {made}");
    }
    let raw = server.outbox.get(server.stored().await[0].id).await.unwrap().unwrap().raw.unwrap();
    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.contains("multipart/alternative") && raw.contains("text/plain"), "{raw}");
}

#[tokio::test]
async fn a_text_that_is_there_stays_even_if_it_is_empty() {
    let server = TestServer::open().await;
    assert_eq!(text(&server, &json!({"html": "<p>x</p>", "text": "own"})).await, "own");
    assert_eq!(text(&server, &json!({"html": "<p>x</p>", "text": ""})).await, "");
    assert_eq!(text(&server, &json!({"html": "<p>x</p>", "text": null})).await, "x\n");
    assert_eq!(text(&server, &json!({"html": "<img src='cid:a'>"})).await, Value::Null);
}

#[tokio::test]
async fn each_of_a_batch_gets_its_own() {
    let server = TestServer::open().await;
    let message = |html: &str| json!({"to": "a@example.org", "subject": html, "html": html});
    let body = json!([message("<p>one"), message("<p>two")]).to_string();
    let json = [("Content-Type", "application/json")];
    let reply = server.send("POST", "/emails/batch", &json, body.as_bytes()).await.json();
    for (n, expected) in ["one\n", "two\n"].into_iter().enumerate() {
        let id = reply["data"][n]["id"].as_str().unwrap();
        assert_eq!(server.get(&format!("/emails/{id}")).await.json()["text"], expected);
    }
}

/// Nesting that takes a reader's time squared, misnesting that takes its cube, and spans that make it panic.
#[tokio::test]
async fn hostile_html_is_accepted_in_time() {
    let server = TestServer::open().await;
    let misnested: String = (0..30_000).map(|n| format!("<font x{n}><p>")).collect();
    let table = "<tr><td colspan=999999>a<td rowspan=999999>b".repeat(1000);
    for html in [
        "<div>".repeat(500_000),
        "<ol><li>".repeat(250_000),
        "<table><tr><td>".repeat(100_000),
        misnested,
        format!("<table>{table}"),
        "<p>x".repeat(1_000_000),
        "<b><p></b>".repeat(40_000),
        "<a href=x>".repeat(255) + &"</p>".repeat(100_000),
        "<".repeat(1_000_000),
        "<!--".repeat(100_000),
    ] {
        let begun = Instant::now();
        let made = text(&server, &json!({ "html": html })).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?} for {}", &html[..40]);
        assert!(made.is_null() || made.is_string());
    }
}
