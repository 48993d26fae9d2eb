//! The form, sent by programs and by browsers.

use mailqueue_http::Options;

use crate::test_server::{BROWSER, TestServer, plain};

#[tokio::test]
async fn a_program_gets_a_sentence() {
    let server = TestServer::open().await;
    let reply = server.fill_in("assunto=Ol%C3%A1&mensagem=Tudo+bem%3F%0D%0ASim", &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.text(), "Mensagem enfileirada! Assunto: Olá Mensagem: Tudo bem?\r\nSim\n");
    let stored = server.stored().await;
    assert_eq!(stored[0].summary.subject, "Olá");
    assert_eq!(stored[0].summary.people.to[0].address.as_str(), "team@example.com");
    assert_eq!(stored[0].summary.people.from.address.as_str(), "mailqueue@example.com");
    assert_eq!(reply.header("location"), Some(&*format!("/messages/{}", stored[0].id)));
}

#[tokio::test]
async fn a_browser_is_sent_to_the_messages_page() {
    let server = TestServer::open().await;
    for path in ["/", "/api", "/api/"] {
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            BROWSER,
            ("Origin", &*format!("http://{}", server.address)),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let reply = server.send("POST", path, &headers, b"assunto=a&mensagem=b&para=ana%40example.org").await;
        assert_eq!(reply.status, 303);
        let stored = server.stored().await;
        assert_eq!(reply.header("location"), Some(&*format!("/messages/{}", stored[0].id)));
        assert_eq!(stored[0].summary.people.to[0].address.as_str(), "ana@example.org");
    }
    assert!(
        server
            .send(
                "POST",
                "/?lang=en",
                &[("Content-Type", "application/x-www-form-urlencoded"), BROWSER],
                b"assunto=a&mensagem=b"
            )
            .await
            .header("location")
            .unwrap()
            .ends_with("?lang=en")
    );
    assert_eq!(server.stored().await.len(), 4, "the same message twice is two messages");
}

#[tokio::test]
async fn english_names_and_multipart_are_understood() {
    let server = TestServer::open().await;
    assert_eq!(server.fill_in("subject=a&message=b&to=x%40example.org&send=Send", &[]).await.status, 200);
    let body = "--B\r\nContent-Disposition: form-data; name=\"assunto\"\r\n\r\nOlá\r\n\
                --B\r\nContent-Disposition: form-data; name=\"mensagem\"\r\n\r\nTudo\r\nbem\r\n--B--\r\n";
    let multipart = [("Content-Type", "multipart/form-data; boundary=B")];
    assert_eq!(server.send("POST", "/", &multipart, body.as_bytes()).await.status, 200);
    assert_eq!(server.stored().await[0].summary.subject, "Olá");
    let file = body.replace("name=\"assunto\"", "name=\"assunto\"; filename=\"a.txt\"");
    server.send("POST", "/", &multipart, file.as_bytes()).await.assert_invalid(&["/assunto"]);
    server.send("POST", "/", &multipart, b"--C\r\n").await.assert_problem(400, "validation_error");
    assert_eq!(server.stored().await.len(), 2);
}

#[tokio::test]
async fn every_missing_or_wrong_field_of_the_form_is_pointed_at() {
    let server = TestServer::open().await;
    for (fields, pointers) in [
        ("", &["/assunto", "/mensagem"][..]),
        ("assunto=a", &["/mensagem"]),
        ("assunto=+&mensagem=%0D%0A", &["/assunto", "/mensagem"]),
        ("subject=&message=x", &["/subject"]),
        ("assunto=a%0D%0ABcc:+x&mensagem=b", &["/assunto"]),
        ("assunto=a&mensagem=b%00", &["/mensagem"]),
        ("assunto=a&mensagem=b&para=nobody", &["/para"]),
        ("assunto=a&mensagem=b&para=a%40b.org%2Cc%40d.org", &["/para"]),
        ("assunto=a&mensagem=b&para=A+%3Ca%40b.org%3E%2C+B+%3Cc%40d.org%3E", &["/para"]),
        ("assunto=a&mensagem=b&para=Doe%2C+John+%3Ca%40b.org%3E", &["/para"]),
        ("assunto=a&mensagem=b&to=a%40localhost", &["/to"]),
        ("assunto=a&subject=b&mensagem=c", &["/subject"]),
    ] {
        eprintln!("{fields}");
        server.fill_in(fields, &[]).await.assert_invalid(pointers);
    }
    server.fill_in("assunto=%FF&mensagem=b", &[]).await.assert_problem(400, "validation_error");
    for media_type in ["text/plain", "application/json", "application/x-www-form-urlencoded; charset=latin1"]
    {
        let reply = server.send("POST", "/", &[("Content-Type", media_type)], b"assunto=a&mensagem=b").await;
        reply.assert_problem(415, "unsupported_media_type");
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn a_browser_gets_its_form_back_with_what_was_filled_in() {
    let server = TestServer::open().await;
    let fields = "assunto=&mensagem=%3C%2Ftextarea%3E%3Cscript%3E&para=a%22b";
    let reply = server.fill_in(fields, &[BROWSER, ("Accept-Language", "en")]).await;
    assert_eq!(reply.status, 422);
    let page = reply.text();
    assert!(page.contains("Write a subject."));
    assert!(page.contains("Write a whole address"));
    assert!(
        page.contains("&lt;&#x2f;textarea&gt;&lt;script&gt;")
            || page.contains("&lt;/textarea&gt;&lt;script&gt;")
    );
    assert!(page.contains("a&quot;b"));
    assert!(!page.contains("<script"));
    let portuguese = server.fill_in(fields, &[BROWSER]).await;
    assert!(portuguese.text().contains("Escreva um assunto."));
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn other_sites_may_not_send_it() {
    let server = TestServer::open().await;
    for foreign in [
        [("Origin", "https://evil.example"), ("X", "y")],
        [("Origin", "null"), ("X", "y")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://127.0.0.1")],
    ] {
        let reply = server.fill_in("assunto=a&mensagem=b", &foreign).await;
        reply.assert_problem(403, "invalid_access");
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn a_bot_in_the_hidden_field_gets_the_usual_response() {
    let server = TestServer::open().await;
    let reply = server.fill_in("assunto=a&mensagem=b&website=http%3A%2F%2Fspam.example", &[]).await;
    assert_eq!(reply.text(), "Mensagem enfileirada! Assunto: a Mensagem: b\n");
    let reply = server.fill_in("assunto=a&mensagem=b&website=x", &[BROWSER]).await;
    assert_eq!(reply.status, 303);
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn the_open_form_is_no_relay() {
    let server = TestServer::public(plain()).await;
    assert_eq!(server.fill_in("assunto=a&mensagem=b", &[]).await.status, 200);
    server.fill_in("assunto=a&mensagem=b&para=x%40example.org", &[]).await.assert_invalid(&["/para"]);
    let recipients = Some("example.org, boss@example.com".parse().unwrap());
    let server = TestServer::public(Options { form_recipients: recipients, ..plain() }).await;
    for (to, status) in [("x%40example.org", 200), ("Boss%40example.com", 200), ("x%40example.com", 422)] {
        let reply = server.fill_in(&format!("assunto=a&mensagem=b&para={to}"), &[]).await;
        assert_eq!(reply.status, status, "{to}");
    }
    assert_eq!(server.stored().await.len(), 2);
    // Behind a proxy on this very machine, a loopback listener is as open.
    let proxied = TestServer::open().await;
    let reply = proxied
        .fill_in("assunto=a&mensagem=b&para=x%40example.org", &[("X-Forwarded-For", "192.0.2.1")])
        .await;
    reply.assert_invalid(&["/para"]);
}

#[tokio::test]
async fn a_form_without_a_sender_says_so() {
    let server = TestServer::public(Options::default()).await;
    let reply = server.fill_in("assunto=a&mensagem=b", &[]).await;
    reply.assert_problem(503, "service_unavailable");
    assert!(
        server
            .send("GET", "/", &[BROWSER, ("Accept-Language", "en")], b"")
            .await
            .text()
            .contains("MAILQUEUE_FROM")
    );
}
