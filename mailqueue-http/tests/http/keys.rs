//! Who may use the API.

use mailqueue_http::Options;

use crate::test_server::{Reply, TestServer, plain};

/// The entry of a key, with what else it says.
pub(crate) fn entry(name: &str, key: &str, parts: &str) -> String {
    use sha2::Digest;
    let hash: String = sha2::Sha256::digest(key).iter().map(|b| format!("{b:02x}")).collect();
    format!("{name}:{hash}{parts}")
}

/// Two tenants, `mq_one` and `mq_two`; `shop` has further keys for sending, for two domains, of last year, and for reading;
/// `ops` has one for the mail of all.
fn keys() -> Options {
    let list = [
        entry("shop", "mq_one", ""),
        entry("news", "mq_two", ""),
        entry("shop", "mq_send", ":scope=send"),
        entry("shop", "mq_domain", ":domain=Shop.example:domain=example.net"),
        entry("shop", "mq_old", ":expires=2025-11-23"),
        entry("shop", "mq_read", ":scope=read"),
        entry("ops", "mq_operate", ":scope=operate"),
    ];
    Options { api_keys: list.join(",").parse().unwrap(), ..plain() }
}

const BODY: &str = r#"{"to":"a@example.org","subject":"s","text":"t"}"#;

/// An id that no message has.
const NOBODYS: &str = "019353a1-0000-7000-8000-000000000000";

#[tokio::test]
async fn without_keys_the_api_is_for_this_machine_only() {
    let server = TestServer::public(plain()).await;
    let reply = server.submit(BODY).await;
    reply.assert_problem(401, "missing_api_key");
    assert!(reply.header("www-authenticate").is_some());
    server.get("/emails").await.assert_problem(401, "missing_api_key");
    assert!(server.stored().await.is_empty());
    let local = TestServer::open().await;
    for foreign in
        [("Host", "evil.example"), ("X-Forwarded-For", "192.0.2.1"), ("Sec-Fetch-Site", "cross-site")]
    {
        local.send("GET", "/emails", &[foreign], b"").await.assert_problem(401, "missing_api_key");
    }
}

#[tokio::test]
async fn every_wrong_key_gets_the_same_answer() {
    let server = TestServer::public(keys()).await;
    let ask = async |authorization: &str| {
        server.send("GET", "/emails", &[("Authorization", authorization)], b"").await
    };
    let wrong = ask("Bearer mq_three").await;
    wrong.assert_problem(403, "invalid_api_key");
    assert!(wrong.header("www-authenticate").is_some());
    for other in ["Bearer x", "Bearer mq_one2", "Bearer mq_old", &format!("Bearer {}", "k".repeat(5000))] {
        let other = ask(other).await;
        assert_eq!((other.body.clone(), lasting(&other)), (wrong.body.clone(), lasting(&wrong)));
    }
    for missing in ["", "Basic bXFfb25l", "Bearer", "Bearer "] {
        ask(missing).await.assert_problem(401, "missing_api_key");
    }
    server.get("/emails").await.assert_problem(401, "missing_api_key");
}

/// The head of an answer without what is new in each.
fn lasting(reply: &Reply) -> Vec<&str> {
    let varies = |line: &str| line.starts_with("date: ") || line.starts_with("x-request-id: ");
    reply.head.lines().filter(|line| !varies(line)).collect()
}

/// Asks as the holder of a key.
async fn ask(server: &TestServer, key: &str, method: &str, path: &str, body: &str) -> Reply {
    let authorization = format!("Bearer {key}");
    let headers =
        [("Content-Type", "application/json"), ("Authorization", &*authorization), ("Idempotency-Key", "k")];
    server.send(method, path, &headers, body.as_bytes()).await
}

/// Every route that names a message by its id.
const OF_ONE: [(&str, &str, &str); 6] = [
    ("GET", "/emails/{id}", ""),
    ("GET", "/api/emails/{id}", ""),
    ("GET", "/emails/{id}/attachments", ""),
    ("PATCH", "/emails/{id}", r#"{"scheduled_at": "in 1 hour"}"#),
    ("POST", "/emails/{id}/retry", ""),
    ("POST", "/emails/{id}/cancel", ""),
];

/// Every route that tells of several messages.
const OF_MANY: [&str; 5] = [
    "/emails",
    "/api/emails",
    "/emails?status=queued",
    "/emails?to=a%40example.org",
    "/emails?q=s&limit=100",
];

#[tokio::test]
async fn tenants_see_nothing_of_each_other() {
    let server = TestServer::public(keys()).await;
    let shop = ask(&server, "mq_one", "POST", "/emails", BODY).await.id();
    let news = ask(&server, "mq_two", "POST", "/emails", BODY).await.id();
    assert_ne!(shop, news, "an idempotency key is its tenant's own");
    let before = server.stored().await;
    for (method, path, body) in OF_ONE {
        let nobodys = ask(&server, "mq_two", method, &path.replace("{id}", NOBODYS), body).await;
        nobodys.assert_problem(404, "not_found");
        let foreign = ask(&server, "mq_two", method, &path.replace("{id}", &shop), body).await;
        assert_eq!((foreign.status, &foreign.body), (404, &nobodys.body), "{method} {path}");
        let keyless = server.send(method, &path.replace("{id}", &shop), &[], body.as_bytes()).await;
        keyless.assert_problem(401, "missing_api_key");
    }
    for path in OF_MANY {
        for (key, own) in [("mq_one", &shop), ("mq_two", &news), ("mq_domain", &shop)] {
            let list = ask(&server, key, "GET", path, "").await.json();
            let ids: Vec<&str> =
                list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
            assert_eq!(ids, [own], "{key} {path}");
        }
    }
    for cursor in ["after", "before"] {
        let list = ask(&server, "mq_two", "GET", &format!("/emails?{cursor}={shop}"), "").await.json();
        assert!(!list.to_string().contains(&shop), "{list}");
    }
    // The open page shows neither.
    server.get(&format!("/messages/{shop}")).await.assert_problem(404, "not_found");
    server.get("/messages").await.assert_problem(404, "not_found");
    assert_eq!(server.stored().await, before, "nothing has changed");
    // Their owner has all of it: a rotated key stands for the same tenant.
    for (method, path, body) in OF_ONE {
        for key in ["mq_one", "mq_domain"] {
            let own = ask(&server, key, method, &path.replace("{id}", &shop), body).await;
            assert!(![401, 403, 404].contains(&own.status), "{key} {method} {path}: {}", own.status);
        }
    }
}

#[tokio::test]
async fn a_key_for_sending_only_sends() {
    let server = TestServer::public(keys()).await;
    let id = ask(&server, "mq_send", "POST", "/emails", BODY).await.id();
    let others = OF_MANY.map(|path| ("GET", path, "")).into_iter().chain(OF_ONE);
    for (method, path, body) in others.chain([("HEAD", "/emails", "")]) {
        let refused = ask(&server, "mq_send", method, &path.replace("{id}", &id), body).await;
        assert_eq!(refused.status, 403, "{method} {path}");
        if method != "HEAD" {
            refused.assert_problem(403, "restricted_api_key");
        }
    }
    assert_eq!(ask(&server, "mq_one", "GET", &format!("/emails/{id}"), "").await.status, 200);
}

#[tokio::test]
async fn a_key_for_reading_changes_nothing() {
    let server = TestServer::public(keys()).await;
    let id = ask(&server, "mq_one", "POST", "/emails", BODY).await.id();
    let before = server.stored().await;
    let sending = [("POST", "/emails", BODY), ("POST", "/emails/batch", BODY)];
    for (method, path, body) in OF_ONE.into_iter().filter(|(method, ..)| *method != "GET").chain(sending) {
        let refused = ask(&server, "mq_read", method, &path.replace("{id}", &id), body).await;
        let problem = refused.assert_problem(403, "restricted_api_key");
        assert!(problem["detail"].as_str().unwrap().contains("only read"), "{method} {path}");
    }
    assert_eq!(server.stored().await, before, "nothing has changed");
    let reading = OF_MANY.map(|path| ("GET", path, "")).into_iter();
    for (method, path, _) in reading.chain(OF_ONE.into_iter().filter(|(method, ..)| *method == "GET")) {
        let shown = ask(&server, "mq_read", method, &path.replace("{id}", &id), "").await;
        assert_eq!(shown.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_key_for_operating_has_the_mail_of_all_and_of_the_form() {
    let server = TestServer::public(keys()).await;
    let shop = ask(&server, "mq_one", "POST", "/emails", BODY).await.id();
    let location =
        server.fill_in("assunto=Oi&mensagem=Tudo", &[]).await.header("location").unwrap().to_owned();
    let form = location.rsplit('/').next().unwrap().to_owned();
    let own = ask(&server, "mq_operate", "POST", "/emails", BODY).await.id();
    assert_ne!(own, shop, "it hands mail over under its own name");
    let list = ask(&server, "mq_operate", "GET", "/emails", "").await.json();
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&own, &form, &shop]);
    for id in [&shop, &form] {
        let cancelled = ask(&server, "mq_operate", "POST", &format!("/emails/{id}/cancel"), "").await;
        assert_eq!(cancelled.json()["status"], "cancelled");
    }
    assert_eq!(ask(&server, "mq_two", "GET", &format!("/emails/{own}"), "").await.status, 404);
}

#[tokio::test]
async fn a_key_for_some_domains_sends_from_no_other() {
    let server = TestServer::public(keys()).await;
    for from in ["a@SHOP.example", "Shop <b@example.net>", "<b@example.net>"] {
        let body = BODY.replacen('{', &format!(r#"{{"from":"{from}","#), 1);
        assert_eq!(send_for_domains(&server, &body).await.status, 200, "{from}");
    }
    for from in
        ["a@example.com", "a@sub.shop.example", "shop.example@evil.example", "\"a@shop.example\"@b.example"]
    {
        let body = BODY.replacen('{', &format!(r#"{{"from":{},"#, serde_json::json!(from)), 1);
        let problem = send_for_domains(&server, &body).await.assert_problem(403, "validation_error");
        assert_eq!(problem["errors"][0]["pointer"], "/from", "{from}");
        assert!(!problem.to_string().contains("evil.example"));
    }
    // The default sender is at example.com.
    send_for_domains(&server, BODY).await.assert_problem(403, "validation_error");
    assert_eq!(server.stored().await.len(), 3);
}

#[tokio::test]
async fn a_batch_is_held_to_the_domains_of_its_key() {
    let server = TestServer::public(keys()).await;
    let one =
        |from: &str| serde_json::json!({"from": from, "to": "a@example.org", "subject": "s", "text": "t"});
    let body = serde_json::json!([one("a@shop.example"), one("a@evil.example")]).to_string();
    let send = async |mode: &str| {
        let authorization = ("Authorization", "Bearer mq_domain");
        let headers = [("Content-Type", "application/json"), ("X-Batch-Validation", mode), authorization];
        server.send("POST", "/emails/batch", &headers, body.as_bytes()).await
    };
    let problem = send("strict").await.assert_problem(403, "validation_error");
    assert_eq!(problem["errors"][0]["pointer"], "/1/from");
    assert!(server.stored().await.is_empty());
    let partly = send("permissive").await.json();
    assert_eq!(partly["data"].as_array().unwrap().len(), 1);
    assert_eq!(partly["errors"][0]["index"], 1);
    assert_eq!(server.stored().await.len(), 1);
}

/// Submits with the key for two domains.
async fn send_for_domains(server: &TestServer, body: &str) -> Reply {
    let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer mq_domain")];
    server.send("POST", "/emails", &headers, body.as_bytes()).await
}
