//! People log in and see what their key may see.

use mailqueue_http::Options;

use crate::keys::entry;
use crate::test_server::{BROWSER, Reply, TestServer, plain};

/// A browser on our own page.
const OWN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn keys() -> Options {
    let list = [
        entry("shop", "mq_shop", ""),
        entry("shop", "mq_read", ":scope=read"),
        entry("shop", "mq_send", ":scope=send"),
        entry("ops", "mq_ops", ":scope=operate"),
    ];
    Options { api_keys: list.join(",").parse().unwrap(), ..plain() }
}

async fn log_in(server: &TestServer, key: &str, headers: &[(&str, &str)]) -> Reply {
    let body = format!("key={key}&next=%2Fmessages%3Fq%3Da");
    server.send("POST", "/login", &[&[FORM, BROWSER, OWN], headers].concat(), body.as_bytes()).await
}

/// The pair that a browser sends back.
fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

async fn look(server: &TestServer, cookie: &str, path: &str) -> Reply {
    server.send("GET", path, &[BROWSER, ("Cookie", cookie)], b"").await
}

async fn change(server: &TestServer, cookie: &str, path: &str, body: &str) -> Reply {
    server.send("POST", path, &[FORM, BROWSER, OWN, ("Cookie", cookie)], body.as_bytes()).await
}

async fn submit(server: &TestServer, key: &str, subject: &str) -> String {
    let body =
        serde_json::json!({"to": "ana@example.org", "subject": subject, "text": "t", "html": "<p>h</p>"});
    let authorization = format!("Bearer {key}");
    let headers = [("Content-Type", "application/json"), ("Authorization", &*authorization)];
    server.send("POST", "/emails", &headers, body.to_string().as_bytes()).await.id()
}

#[tokio::test]
async fn a_key_opens_the_pages_for_its_mail() {
    let server = TestServer::public(keys()).await;
    let own = submit(&server, "mq_shop", "Pedido da loja").await;
    let location =
        server.fill_in("assunto=Do+site&mensagem=Oi", &[]).await.header("location").unwrap().to_owned();
    let asked = server.send("GET", "/messages?q=a", &[BROWSER], b"").await;
    assert_eq!((asked.status, asked.header("location")), (303, Some("/login?next=%2Fmessages%3Fq%3Da")));
    let page = server.send("GET", "/login?next=%2Fmessages%3Fq%3Da", &[BROWSER], b"").await;
    assert!(page.text().contains("name=\"key\"") && page.text().contains("value=\"&#x2f;messages?q=a\""));

    let accepted = log_in(&server, "mq_shop", &[]).await;
    assert_eq!((accepted.status, accepted.header("location")), (303, Some("/messages?q=a")));
    let attributes = accepted.header("set-cookie").unwrap();
    assert!(
        attributes.starts_with("mq=")
            && attributes.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")
    );
    let shop = cookie(&accepted);
    let list = look(&server, &shop, "/messages").await;
    assert_eq!(list.status, 200);
    assert!(list.text().contains("Pedido da loja") && !list.text().contains("Do site"));
    let foreign = look(&server, &shop, &location).await;
    assert!(foreign.text().contains("Mensagem enfileirada!") && !foreign.text().contains("Do site"));

    let ops = cookie(&log_in(&server, "mq_ops", &[]).await);
    let list = look(&server, &ops, "/messages").await;
    assert!(list.text().contains("Pedido da loja") && list.text().contains("Do site"));
    let cancelled = change(&server, &ops, &location, "change=cancel").await;
    assert_eq!((cancelled.status, cancelled.header("location")), (303, Some(&*location)));
    assert!(look(&server, &ops, &location).await.text().contains("A mensagem foi cancelada"));
    assert!(look(&server, &ops, &format!("/messages/{own}")).await.text().contains("ana@example.org"));
}

#[tokio::test]
async fn a_login_that_is_none_is_refused() {
    let server = TestServer::public(keys()).await;
    for (key, says) in
        [("mq_wrong", "não é válida"), ("", "não é válida"), ("mq_send", "só serve para enviar")]
    {
        let refused = log_in(&server, key, &[]).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{key}");
        assert!(refused.text().contains(says), "{key}");
        assert!(key.is_empty() || !refused.text().contains(key), "a page repeats no key");
    }
    let body = b"key=mq_shop";
    for foreign in [&[][..], &[("Sec-Fetch-Site", "cross-site")], &[("Origin", "http://evil.example")]] {
        let headers = [&[FORM, BROWSER], foreign].concat();
        let refused = server.send("POST", "/login", &headers, body).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None));
    }
    let good = cookie(&log_in(&server, "mq_shop", &[]).await);
    let forged = good.replacen(|c: char| c.is_ascii_digit(), "9", 1) + "x";
    for cookie in [&*forged, "mq=1.x", "mq=", &format!("{good}; {good}")] {
        assert_eq!(look(&server, cookie, "/messages").await.status, 303, "{cookie}");
    }
    let other =
        TestServer::public(Options { api_keys: entry("shop", "mq_new", "").parse().unwrap(), ..plain() })
            .await;
    assert_eq!(look(&other, &good, "/messages").await.status, 303, "its key was removed");
}

#[tokio::test]
async fn behind_tls_the_cookie_is_bound_to_it() {
    let server = TestServer::public(keys()).await;
    let tls = ("X-Forwarded-Proto", "https");
    let accepted = log_in(&server, "mq_shop", &[tls]).await;
    let attributes = accepted.header("set-cookie").unwrap();
    assert!(attributes.starts_with("__Host-mq=") && attributes.ends_with("; Secure"));
    let cookie = cookie(&accepted);
    let secure = server.send("GET", "/messages", &[BROWSER, tls, ("Cookie", &cookie)], b"").await;
    assert_eq!(secure.status, 200);
    assert_eq!(look(&server, &cookie, "/messages").await.status, 303);
    let plain = server.send("GET", "/login", &[BROWSER], b"").await;
    assert!(plain.text().contains("não está protegida por TLS"));
    let logged_out =
        server.send("POST", "/logout", &[FORM, BROWSER, OWN, tls, ("Cookie", &cookie)], b"").await;
    assert_eq!((logged_out.status, logged_out.header("location")), (303, Some("/login")));
    assert!(logged_out.header("set-cookie").unwrap().starts_with("__Host-mq=; Path=/; Max-Age=0;"));
}

#[tokio::test]
async fn who_may_only_read_changes_nothing() {
    let server = TestServer::public(keys()).await;
    let id = submit(&server, "mq_shop", "Pedido").await;
    let before = server.stored().await;
    let reader = cookie(&log_in(&server, "mq_read", &[]).await);
    let page = look(&server, &reader, &format!("/messages/{id}")).await;
    assert!(page.text().contains("Pedido") && !page.text().contains("name=\"change\""));
    for (path, body) in [
        (format!("/messages/{id}"), "change=cancel".to_owned()),
        ("/messages".to_owned(), format!("change=cancel&id={id}")),
    ] {
        assert_eq!(change(&server, &reader, &path, &body).await.status, 403, "{path}");
    }
    let shop = cookie(&log_in(&server, "mq_shop", &[]).await);
    for site in ["cross-site", "same-site", "none"] {
        let headers = [FORM, BROWSER, ("Sec-Fetch-Site", site), ("Cookie", &*shop)];
        let refused = server.send("POST", &format!("/messages/{id}"), &headers, b"change=cancel").await;
        assert_eq!(refused.status, 403, "{site}");
    }
    assert_eq!(server.stored().await, before);
}

#[tokio::test]
async fn a_proxy_logs_people_in() {
    let options = Options {
        client_address: Some("x-forwarded-for".parse().unwrap()),
        user: Some("x-forwarded-user".parse().unwrap()),
        ..keys()
    };
    let server = TestServer::public(options).await;
    submit(&server, "mq_shop", "Pedido").await;
    let named = server.send("GET", "/messages", &[BROWSER, ("X-Forwarded-User", "rita")], b"").await;
    assert!(named.text().contains("Pedido") && named.text().contains("rita"));
    let twice = [BROWSER, ("X-Forwarded-User", "rita"), ("X-Forwarded-User", "eve")];
    assert_eq!(server.send("GET", "/messages", &twice, b"").await.status, 303);
    assert_eq!(server.send("GET", "/messages", &[BROWSER], b"").await.status, 303);
    let server = TestServer::public(keys()).await;
    assert_eq!(
        server.send("GET", "/messages", &[BROWSER, ("X-Forwarded-User", "rita")], b"").await.status,
        303
    );
}

#[tokio::test]
async fn the_content_that_is_shown_has_a_limit() {
    use mailqueue_http::ShownContent;
    for (shown, subject, text) in [
        (ShownContent::Full, true, true),
        (ShownContent::Headers, true, false),
        (ShownContent::None, false, false),
    ] {
        let server = TestServer::public(Options { shown_content: shown, ..keys() }).await;
        let id = submit(&server, "mq_shop", "Pedido 7").await;
        let shop = cookie(&log_in(&server, "mq_shop", &[]).await);
        let page = look(&server, &shop, &format!("/messages/{id}")).await;
        assert_eq!(page.text().contains("Pedido 7"), subject, "{shown}");
        assert_eq!(page.text().contains("ana@example.org"), subject, "{shown}");
        assert_eq!(page.text().contains("<iframe"), text, "{shown}");
        assert_eq!(look(&server, &shop, "/messages").await.text().contains("Pedido 7"), subject, "{shown}");
        for part in ["html", "source", "text", "headers", "raw", "eml"] {
            let part = look(&server, &shop, &format!("/messages/{id}/{part}")).await;
            assert_eq!(part.status == 200, text, "{shown}");
        }
    }
}

#[tokio::test]
async fn without_keys_the_login_says_how_to_make_one() {
    let server = TestServer::public(plain()).await;
    let page = server.send("GET", "/login?lang=en", &[BROWSER], b"").await;
    assert!(
        page.text().contains("mailqueue-http key admin --scope operate")
            && !page.text().contains("name=\"key\"")
    );
    let server = TestServer::open().await;
    let page = server.send("GET", "/login", &[BROWSER], b"").await;
    assert_eq!((page.status, page.header("location")), (303, Some("/messages")));
}

#[tokio::test]
async fn pages_use_up_the_rate_of_their_key() {
    let server = TestServer::public(Options { key_rate: Some("2/h".parse().unwrap()), ..keys() }).await;
    let shop = cookie(&log_in(&server, "mq_shop", &[]).await);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(look(&server, &shop, "/messages").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn forms_do_not_use_up_the_rate_of_logins() {
    let server = TestServer::public(Options { form_rate: Some("1/h".parse().unwrap()), ..keys() }).await;
    server.fill_in("assunto=a&mensagem=b", &[]).await;
    assert_eq!(server.fill_in("assunto=a&mensagem=b", &[]).await.status, 429);
    for _ in 0..10 {
        assert_eq!(log_in(&server, "mq_wrong", &[]).await.status, 403);
    }
    assert_eq!(log_in(&server, "mq_shop", &[]).await.status, 429, "guessing has an end");
}

#[tokio::test]
async fn a_search_tells_nothing_that_a_page_does_not_show() {
    use mailqueue_http::ShownContent;
    let server = TestServer::public(Options { shown_content: ShownContent::None, ..keys() }).await;
    submit(&server, "mq_shop", "Pedido 7").await;
    let shop = cookie(&log_in(&server, "mq_shop", &[]).await);
    for search in
        ["pedido", "subject%3Apedido", "to%3Aana%40example.org", "from%3Amailqueue%40example.com", "tag%3Aa"]
    {
        let page = look(&server, &shop, &format!("/messages?q={search}")).await;
        assert_eq!(page.status, 422, "{search}");
        assert!(
            page.text().contains("o conteúdo não é mostrado") && !page.text().contains("href=\"/messages/0")
        );
    }
    assert_eq!(look(&server, &shop, "/messages?q=status%3Aqueued+lane%3Anormal").await.status, 200);
}

#[tokio::test]
async fn a_login_keeps_the_language() {
    let server = TestServer::public(keys()).await;
    let asked = server.send("GET", "/messages?lang=en", &[BROWSER], b"").await;
    assert_eq!(asked.header("location"), Some("/login?next=%2Fmessages%3Flang%3Den&lang=en"));
    let out = server.send("POST", "/logout?lang=en", &[FORM, BROWSER, OWN], b"").await;
    assert_eq!(out.header("location"), Some("/login?lang=en"));
    let long = server.send("GET", &format!("/messages?q={}", "a".repeat(3000)), &[BROWSER], b"").await;
    assert_eq!(long.header("location"), Some("/login?next=%2Fmessages"));
}
