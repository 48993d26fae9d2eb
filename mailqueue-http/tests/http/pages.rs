//! The pages.

use crate::test_server::{BROWSER, TestServer, plain};

#[tokio::test]
async fn the_form_stands_in_both_languages_and_at_both_places() {
    let server = TestServer::open().await;
    for path in ["/", "/api", "/api/"] {
        let reply = server.send("GET", path, &[BROWSER], b"").await;
        assert_eq!(reply.status, 200);
        let page = reply.text();
        for piece in
            ["<html lang=\"pt-BR\">", "name=\"assunto\"", "name=\"mensagem\"", "name=\"para\"", "Enviar"]
        {
            assert!(page.contains(piece), "{piece}");
        }
        assert!(page.contains("action=\"/api\""), "{page}");
    }
    assert!(server.get("/?lang=en").await.text().contains("Send a message"));
    let english = server.send("GET", "/", &[BROWSER, ("Accept-Language", "en-US,pt;q=0.5")], b"").await;
    assert!(english.text().contains("<html lang=\"en\">"));
}

#[tokio::test]
async fn pages_are_guarded_and_ask_nobody_else_for_anything() {
    let server = TestServer::open().await;
    let reply = server.send("GET", "/", &[BROWSER], b"").await;
    let policy = reply.header("content-security-policy").unwrap();
    for piece in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
        assert!(policy.contains(piece));
    }
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
    assert!(!reply.text().contains("style=") && !reply.text().contains("<script"));
    let elsewhere = reply.text().replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"));
    let style = server.get("/static/style.css").await;
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert!(!style.text().contains("url("));
}

#[tokio::test]
async fn a_message_has_a_page_that_looks_again_until_it_is_final() {
    let server = TestServer::open().await;
    let fields = "assunto=%3Cb%3EOi&mensagem=Tudo+bem%3F&para=ana%40example.org";
    let location = server.fill_in(fields, &[]).await.header("location").unwrap().to_owned();
    for path in [location.clone(), format!("/api{location}")] {
        let reply = server.send("GET", &path, &[BROWSER], b"").await;
        assert_eq!(reply.status, 200);
        let page = reply.text();
        for piece in
            ["Mensagem enfileirada!", "http-equiv=\"refresh\"", "ana@example.org", "&lt;b&gt;Oi", "Tudo bem?"]
        {
            assert!(page.contains(piece), "{piece}: {page}");
        }
    }
    let still = server.get(&format!("{location}?refresh=off")).await;
    assert!(!still.text().contains("http-equiv=\"refresh\""));
    let id = location.rsplit('/').next().unwrap().parse().unwrap();
    server.outbox.cancel(id).await.unwrap();
    let done = server.get(&format!("{location}?lang=en")).await;
    assert!(done.text().contains("The message was cancelled"));
    assert!(!done.text().contains("http-equiv=\"refresh\""));
    let list = server.get("/messages").await;
    assert_eq!(list.status, 200);
    assert!(list.text().contains("&lt;b&gt;Oi"));
}

#[tokio::test]
async fn the_world_sees_how_it_went_but_not_what_or_whom() {
    let server = TestServer::public(plain()).await;
    let fields = "assunto=Segredo&mensagem=Conte%C3%BAdo";
    let location = server.fill_in(fields, &[]).await.header("location").unwrap().to_owned();
    let reply = server.send("GET", &location, &[BROWSER], b"").await;
    assert!(reply.text().contains("Mensagem enfileirada!"));
    for secret in ["Segredo", "Conteúdo", "team@example.com", "mailqueue@example.com"] {
        assert!(!reply.text().contains(secret), "{secret}");
    }
    let list = server.send("GET", "/messages", &[BROWSER], b"").await;
    assert_eq!((list.status, list.header("location")), (303, Some("/login?next=%2Fmessages")));
    server.get("/messages").await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn problems_are_pages_for_browsers() {
    let server = TestServer::open().await;
    for (method, path, status) in [
        ("GET", "/nowhere", 404),
        ("GET", "/messages/x", 404),
        ("GET", "/messages/019353a1-0000-7000-8000-000000000000", 404),
        ("DELETE", "/", 405),
    ] {
        let reply = server.send(method, path, &[BROWSER], b"").await;
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.text().contains("<h1>"), "{path}");
        assert_eq!(reply.header("allow").is_some(), status == 405);
    }
    server.send("GET", "/emails/x", &[BROWSER], b"").await.assert_invalid(&["/id"]);
}

#[tokio::test]
async fn a_page_that_is_not_there_links_to_nothing_made_up() {
    let server = TestServer::open().await;
    for path in ["//evil.example/", "/\\evil.example", "/%2Fevil.example"] {
        let reply = server.send("GET", path, &[BROWSER], b"").await;
        assert!(reply.status >= 400 && !String::from_utf8_lossy(&reply.body).contains("evil"), "{path}");
    }
}

#[tokio::test]
async fn measurements_are_not_for_proxies() {
    let server = TestServer::open().await;
    server.get("/metrics").await.assert_problem(404, "not_found");
    server.get("/api/metrics").await.assert_problem(404, "not_found");
    let app = mailqueue_http::App::with_metrics(server.outbox.clone(), plain(), || "up 1\n".to_owned());
    let server = mailqueue_http::Server::bind("127.0.0.1:0".parse().unwrap(), app).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.run(std::future::pending()));
    let measured = TestServer::open().await.at(address);
    assert_eq!(measured.get("/metrics").await.text(), "up 1\n");
    measured.get("/api/metrics").await.assert_problem(404, "not_found");
}
