//! Requests whose head alone is reason enough.

use crate::test_server::TestServer;

/// Sends a request with a body that would be accepted, under another head.
async fn status(server: &TestServer, head: &str) -> Option<u16> {
    let body = r#"{"to":"a@example.org","subject":"s","text":"t"}"#;
    let head = head.replace("{length}", &body.len().to_string());
    server.raw(format!("{head}\r\n\r\n{body}").as_bytes()).await.map(|reply| reply.status)
}

const POST: &str = "POST /emails HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json";

#[tokio::test]
async fn a_fine_head_is_accepted() {
    let server = TestServer::open().await;
    let head = format!("{POST}\r\nHost: localhost\r\nContent-Length: {{length}}");
    assert_eq!(status(&server, &head).await, Some(200));
    assert_eq!(server.stored().await.len(), 1);
}

#[tokio::test]
async fn lengths_that_are_doubled_or_no_numbers_are_refused() {
    let server = TestServer::open().await;
    let heads = [
        "Content-Length: {length}\r\nContent-Length: {length}",
        "Content-Length: {length}\r\nContent-Length: 2",
        "Content-Length: {length}, {length}",
        "Content-Length: +{length}",
        "Content-Length: -1",
        "Content-Length: 0x2",
        "Content-Length: 18446744073709551616",
        "Content-Length: {length}\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: {length}",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
    ];
    for head in heads {
        let found = status(&server, &format!("{POST}\r\nHost: localhost\r\n{head}")).await;
        assert!(matches!(found, Some(400 | 413)), "{head}: {found:?}");
    }
    let old = POST.replace("HTTP/1.1", "HTTP/1.0");
    let found = status(&server, &format!("{old}\r\nHost: localhost\r\nTransfer-Encoding: chunked")).await;
    assert_eq!(found, Some(400));
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn chunks_that_are_no_chunks_are_refused() {
    let server = TestServer::open().await;
    for chunks in ["zz\r\n{}\r\n0\r\n\r\n", "fffffffffffffffff\r\n{}", "-1\r\n{}", "1 2\r\n{}"] {
        let request = format!("{POST}\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let found = server.raw(request.as_bytes()).await.map(|reply| reply.status);
        assert_eq!(found, Some(400), "{chunks}");
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = TestServer::open().await;
    let length = "Content-Length: {length}";
    for hosts in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: a b\r\n", "Host: u@localhost\r\n"] {
        assert_eq!(status(&server, &format!("{POST}\r\n{hosts}{length}")).await, Some(400), "{hosts}");
    }
    for field in ["X: a\0b", "X: a\r\n b", "X\x01: a", "X : a", ": a"] {
        let found = status(&server, &format!("{POST}\r\nHost: localhost\r\n{field}\r\n{length}")).await;
        assert_eq!(found, Some(400), "{field:?}");
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn oversized_heads_are_refused_by_what_is_too_large() {
    let server = TestServer::open().await;
    let long = "x".repeat(40 << 10);
    let uri = server.raw(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
    uri.assert_problem(414, "uri_too_long");
    let field = server.send("GET", "/emails", &[("X-Long", &long)], b"").await;
    field.assert_problem(431, "header_fields_too_large");
    let many = "X: y\r\n".repeat(200);
    let many = server.raw(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n").as_bytes()).await.unwrap();
    assert_eq!(many.status, 431);
    let endless = "y".repeat(1 << 20);
    let endless = server.raw(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {endless}\r\n\r\n").as_bytes()).await;
    assert!(endless.is_none_or(|reply| reply.status == 431));
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_told_apart() {
    let server = TestServer::open().await;
    for path in ["/nowhere", "/api/nowhere", "/emails/", "/emails/1/2", "/api/api"] {
        server.get(path).await.assert_problem(404, "not_found");
    }
    for (method, path, allow) in [
        ("DELETE", "/emails", "GET, HEAD, POST"),
        ("PUT", "/api", "GET, HEAD, POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("OPTIONS", "/api/emails", "GET, HEAD, POST"),
        ("BREW", "/", "GET, HEAD, POST"),
    ] {
        let reply = server.send(method, path, &[], b"").await;
        reply.assert_problem(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allow));
    }
}

#[tokio::test]
async fn only_plain_json_in_utf8_is_read() {
    let server = TestServer::open().await;
    let body = br#"{"to":"a@example.org","subject":"s","text":"t"}"#;
    let json = ("Content-Type", "application/json");
    for headers in [
        &[][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/xml")],
        &[("Content-Type", "application/json; charset=utf-16")],
        &[json, ("Content-Encoding", "gzip")],
        &[json, ("Content-Encoding", "br")],
    ] {
        let reply = server.send("POST", "/emails", headers, body).await;
        reply.assert_problem(415, "unsupported_media_type");
    }
    assert!(server.stored().await.is_empty());
    for headers in [
        &[("Content-Type", "Application/JSON; Charset=\"UTF-8\"")][..],
        &[json, ("Content-Encoding", "identity")],
    ] {
        assert_eq!(server.send("POST", "/emails", headers, body).await.status, 200);
    }
}

#[tokio::test]
async fn a_problem_is_named_as_such_where_the_client_names_it() {
    let server = TestServer::open().await;
    let reply = server.send("GET", "/nowhere", &[("Accept", "application/problem+json")], b"").await;
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.json()["status"], 404);
}

/// A proxy may go by one of two fields and this server by the other, so neither is gone by.
#[tokio::test]
async fn fields_that_say_one_thing_stand_there_once() {
    let server = TestServer::open().await;
    for (name, values, problem) in [
        ("Authorization", ["Bearer mq_one", "Bearer mq_one"], "validation_error"),
        ("Authorization", ["Bearer mq_one", "Basic eA=="], "validation_error"),
        ("authorization", ["", "Bearer mq_one"], "validation_error"),
        ("Content-Type", ["application/json", "application/json"], "validation_error"),
        ("Origin", ["http://localhost", "http://evil.example"], "validation_error"),
        ("Sec-Fetch-Site", ["same-origin", "cross-site"], "validation_error"),
        ("Idempotency-Key", ["a", "b"], "invalid_idempotency_key"),
    ] {
        for (path, media, body) in [
            ("/emails", "application/json", r#"{"to":"a@example.org","subject":"s","text":"t"}"#),
            ("/api/emails/batch", "application/json", r#"[{"to":"a@example.org","subject":"s","text":"t"}]"#),
            ("/", "application/x-www-form-urlencoded", "assunto=s&mensagem=t"),
        ] {
            let mut headers = vec![(name, values[0]), (name, values[1])];
            if name != "Content-Type" {
                headers.push(("Content-Type", media));
            }
            server.send("POST", path, &headers, body.as_bytes()).await.assert_problem(400, problem);
        }
        server
            .send("GET", "/emails", &[(name, values[0]), (name, values[1])], b"")
            .await
            .assert_problem(400, problem);
    }
    assert!(server.stored().await.is_empty());
}
