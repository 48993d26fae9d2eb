//! Bodies that are not accepted, each checked for its status, the fields it
//! points to, and that nothing was stored.

use serde_json::{Value, json};

use crate::test_server::TestServer;

/// What would be accepted, with some members replaced.
fn with(changes: Value) -> String {
    let mut body = json!({"from": "f@example.com", "to": ["a@example.org"], "subject": "s", "text": "t"});
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

fn attachment(changes: Value) -> String {
    let mut file = json!({"filename": "a.txt", "content": "aGk="});
    for (name, value) in changes.as_object().unwrap() {
        file[name] = value.clone();
    }
    with(json!({ "attachments": [file] }))
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    let server = TestServer::open().await;
    let fine = with(json!({}));
    let mut bodies: Vec<Vec<u8>> = ["", " ", "{", "NaN", "{} x", "null null", "{'to':1}", "{\"to\":1e999}"]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    bodies.push([b"\xEF\xBB\xBF", fine.as_bytes()].concat());
    bodies.push(format!("{fine}x").into_bytes());
    bodies.push(fine.replace("\"s\"", "\"\\ud800\"").into_bytes());
    bodies.push(fine.replace("\"s\"", "\"a\nb\"").into_bytes());
    bodies.push([&fine.as_bytes()[..10], b"\xff", &fine.as_bytes()[10..]].concat());
    bodies.push(format!("{{\"subject\":\"x\",{}", &fine[1..]).into_bytes());
    bodies.push("[".repeat(100_000).into_bytes());
    bodies.push(format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200)).into_bytes());
    for body in bodies {
        let reply = server.send("POST", "/emails", &[("Content-Type", "application/json")], &body).await;
        let cut = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(reply.status, 400, "{cut}");
        reply.assert_problem(400, "validation_error");
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn wrong_shapes_are_pointed_at() {
    let server = TestServer::open().await;
    let table = [
        ("[]", vec![""]),
        ("\"x\"", vec![""]),
        ("{}", vec!["/to", "/subject"]),
        (&with(json!({"to_": "x"})), vec!["/to_"]),
        (&with(json!({"a/b~c": 1})), vec!["/a~1b~0c"]),
        (&with(json!({"to": null})), vec!["/to"]),
        (&with(json!({"to": 5})), vec!["/to"]),
        (&with(json!({"to": [1, 2]})), vec!["/to/0"]),
        (&with(json!({"to": ["a@example.org", null]})), vec!["/to/1"]),
        (&with(json!({"subject": 7})), vec!["/subject"]),
        (&with(json!({"subject": null})), vec!["/subject"]),
        (&with(json!({"text": [], "html": {}})), vec!["/text", "/html"]),
        (&with(json!({"headers": ["X-A"]})), vec!["/headers"]),
        (&with(json!({"headers": {"X-A": 1}})), vec!["/headers/X-A"]),
        (&with(json!({"tags": {"name": "a"}})), vec!["/tags"]),
        (&with(json!({"tags": [{"name": "a"}, 3]})), vec!["/tags/0/value", "/tags/1"]),
        (&with(json!({"smtputf8": "yes"})), vec!["/smtputf8"]),
        (&with(json!({"lane": "fast"})), vec!["/lane"]),
        (&attachment(json!({"path": "https://example.org/x"})), vec!["/attachments/0/path"]),
        (&attachment(json!({"content": null})), vec!["/attachments/0/content"]),
        (&attachment(json!({"content": [256]})), vec!["/attachments/0/content"]),
        (&attachment(json!({"filename": null})), vec!["/attachments/0/filename"]),
        (&attachment(json!({"size": 1})), vec!["/attachments/0/size"]),
    ];
    for (body, pointers) in table {
        eprintln!("{body}");
        server.submit(body).await.assert_invalid(&pointers);
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn values_that_would_harm_are_pointed_at() {
    let server = TestServer::open().await;
    let table = [
        (json!({"subject": "a\u{0}b"}), "/subject"),
        (json!({"text": "a\u{0}b"}), "/text"),
        (json!({"subject": "a\r\nBcc: x@example.org"}), "/subject"),
        (json!({"subject": "a\rb"}), "/subject"),
        (json!({"subject": "a\nb"}), "/subject"),
        (json!({"subject": "a\u{202e}b"}), "/subject"),
        (json!({"from": "\"a\r\nX: y\" <f@example.com>"}), "/from"),
        (json!({"from": "a\u{202e}b <f@example.com>"}), "/from"),
        (json!({"from": "A\nB <f@example.com>"}), "/from"),
        (json!({"reply_to": "r@example.com\r\nX: y"}), "/reply_to"),
        (json!({"to": "A <a@b.com>, B <c@d.com>"}), "/to"),
        (json!({"to": ["e@f.com", "A <a@b.com>, B <c@d.com>"]}), "/to/1"),
        (json!({"cc": "A; B <c@d.com>"}), "/cc"),
        (json!({"bcc": ["a@b.com <c@d.com>"]}), "/bcc/0"),
        (json!({"reply_to": "Doe, John <c@d.com>"}), "/reply_to"),
        (json!({"from": "A <a@b.com>, B <c@d.com>"}), "/from"),
        (json!({"to": "a@\u{fb01}sh.com"}), "/to"),
        (json!({"to": "a@exam\u{ad}ple.com"}), "/to"),
        (json!({"headers": {"X-A": "a\r\nBcc: x@example.org"}}), "/headers/X-A"),
        (json!({"headers": {"X-A\r\nBcc": "x"}}), "/headers/X-A\r\nBcc"),
        (json!({"headers": {"X A": "x"}}), "/headers/X A"),
        (json!({"headers": {"X:A": "x"}}), "/headers/X:A"),
        (json!({"headers": {"X-Á": "x"}}), "/headers/X-Á"),
        (json!({"headers": {"X-A\u{0}": "x"}}), "/headers/X-A\u{0}"),
        (json!({"headers": {"References": "<a@b>\r\nX: y"}}), "/headers/References"),
        (json!({"tags": [{"name": "a b", "value": "c"}]}), "/tags/0/name"),
        (json!({"tags": [{"name": "a", "value": "c\r\n"}]}), "/tags/0/value"),
        (json!({"subject": "s".repeat(999)}), "/subject"),
        (json!({"headers": {"X-A": "s".repeat(999)}}), "/headers/X-A"),
    ];
    for (changes, pointer) in table {
        eprintln!("{pointer:?}");
        server.submit(&with(changes)).await.assert_invalid(&[pointer]);
    }
    for name in [
        "Bcc",
        "From",
        "Sender",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Return-Path",
        "Received",
        "DKIM-Signature",
        "Resent-To",
        "To",
        "Subject",
    ] {
        let pointer = format!("/headers/{name}");
        server.submit(&with(json!({"headers": {name: "x"}}))).await.assert_invalid(&[&pointer]);
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn addresses_that_are_none_are_pointed_at() {
    let server = TestServer::open().await;
    let local = format!("{}@example.org", "l".repeat(65));
    let long = format!("a@{}.org", vec!["d".repeat(60); 5].join("."));
    for address in [
        "",
        "a",
        "a@",
        "@example.org",
        "a@localhost",
        "a@127.0.0.1",
        "a@[::1]",
        "a@e",
        "a@example.org, b@example.org",
        "-oQ/tmp@e.com",
        "a%b@e.com",
        "a!b@e.com",
        "\"a\r\n\"@e.com",
        "ä@e.com",
        "a@x.org> SIZE=1",
        &local,
        &long,
    ] {
        server.submit(&with(json!({ "to": address }))).await.assert_invalid(&["/to"]);
        server.submit(&with(json!({ "bcc": ["b@example.org", address] }))).await.assert_invalid(&["/bcc/1"]);
    }
    assert!(server.stored().await.is_empty());
    for fine in ["\"a b\"@example.org", "a@пример.рф", "Ana <ana@example.org>", "ana+x@example.org"] {
        assert_eq!(server.submit(&with(json!({ "to": fine }))).await.status, 200, "{fine}");
    }
    assert_eq!(server.submit(&with(json!({"to": "ä@e.com", "smtputf8": true}))).await.status, 200);
    assert!(
        server.stored().await.iter().any(|mail| mail.summary.people.to[0].address.domain().contains("xn--"))
    );
}

#[tokio::test]
async fn counts_are_bounded() {
    let server = TestServer::open().await;
    let many = |n: usize| (0..n).map(|n| format!("a{n}@example.org")).collect::<Vec<_>>();
    server.submit(&with(json!({ "to": [] }))).await.assert_invalid(&["/to"]);
    server.submit(&with(json!({ "to": many(51) }))).await.assert_invalid(&["/to"]);
    server.submit(&with(json!({ "to": many(99_000) }))).await.assert_invalid(&["/to"]);
    server.submit(&with(json!({ "to": many(200_000) }))).await.assert_invalid(&[""]);
    server.submit(&with(json!({ "text": null }))).await.assert_invalid(&["/text"]);
    let files: Vec<Value> = (0..21).map(|_| json!({"filename": "a", "content": "aGk="})).collect();
    server.submit(&with(json!({ "attachments": files }))).await.assert_invalid(&["/attachments"]);
    let headers: serde_json::Map<_, _> = (0..21).map(|n| (format!("X-{n}"), "x".into())).collect();
    server.submit(&with(json!({ "headers": headers }))).await.assert_invalid(&["/headers"]);
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn attachments_are_checked() {
    let server = TestServer::open().await;
    for content in ["a", "aGk", "_-8=", "a===", "aG k*", "aGl=\u{e9}"] {
        let reply = server.submit(&attachment(json!({ "content": content }))).await;
        reply.assert_invalid(&["/attachments/0/content"]);
    }
    for (member, value) in [
        ("filename", "a\r\nX: y"),
        ("filename", "../a"),
        ("filename", ""),
        ("content_id", "a\r\n"),
        ("content_id", "a>b"),
        ("content_type", "text/html\r\nX: y"),
        ("content_type", "multipart/mixed"),
        ("content_type", "message/rfc822"),
    ] {
        let pointer = format!("/attachments/0/{member}");
        server.submit(&attachment(json!({ member: value }))).await.assert_invalid(&[&pointer]);
    }
    assert!(server.stored().await.is_empty());
    for fine in [json!("aGk="), json!("aG\r\n k="), json!([104, 105])] {
        let id = server.submit(&attachment(json!({ "content": fine }))).await.id();
        let told = server.get(&format!("/emails/{id}")).await.json();
        assert_eq!(told["attachments"][0]["size"], 2);
    }
}

#[tokio::test]
async fn ten_mebibytes_are_the_limit_of_what_is_decoded() {
    use base64::Engine;
    let server = TestServer::open().await;
    let file = |octets: usize| base64::engine::general_purpose::STANDARD.encode(vec![b'x'; octets]);
    let too_much = server.submit(&attachment(json!({ "content": file(10 << 20) }))).await;
    too_much.assert_problem(413, "payload_too_large");
    server
        .submit(&with(json!({ "text": "x".repeat((10 << 20) + 1) })))
        .await
        .assert_problem(413, "payload_too_large");
    assert!(server.stored().await.is_empty());
    server.submit(&attachment(json!({ "content": file((10 << 20) - 1) }))).await.id();
}

#[tokio::test]
async fn times_are_checked() {
    let server = TestServer::open().await;
    for at in [
        "2020-01-01T00:00:00Z",
        "2999-01-01T00:00:00Z",
        "2030-01-01T00:00:00",
        "+999999-01-01T00:00:00Z",
        "999999-01-01T00:00:00Z",
        "2026-12-31T23:59:60Z",
        "tomorrow",
        "",
        "2030-02-30T00:00:00Z",
        "2030-01-01T00:00:00Zx",
    ] {
        let reply = server.submit(&with(json!({ "scheduled_at": at }))).await;
        reply.assert_invalid(&["/scheduled_at"]);
    }
    assert!(server.stored().await.is_empty());
    let soon = server.outbox.clock().now() - time::Duration::seconds(30);
    let soon = soon.format(&time::format_description::well_known::Rfc3339).unwrap();
    let id = server.submit(&with(json!({ "scheduled_at": soon }))).await.id();
    assert_eq!(server.get(&format!("/emails/{id}")).await.json()["last_event"], "queued");
}

#[tokio::test]
async fn queries_are_checked() {
    let server = TestServer::open().await;
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=x", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("after=1", "/after"),
        ("status=done", "/status"),
        ("x=1", "/x"),
        ("q=", "/q"),
        ("q=%00", "/q"),
        ("after=019353a1-0000-7000-8000-000000000000&before=019353a1-0000-7000-8000-000000000000", "/before"),
    ] {
        server.get(&format!("/emails?{query}")).await.assert_invalid(&[pointer]);
    }
    server.get("/emails?q=%FF").await.assert_problem(400, "validation_error");
    server.get("/emails/not-an-id").await.assert_invalid(&["/id"]);
    server.get("/emails/019353a1-0000-7000-8000-000000000000").await.assert_problem(404, "not_found");
}
