//! Who may use the API.

use mailqueue_http::Options;

use crate::house::{House, plain};

/// SHA-256 of `mq_one` and `mq_two`.
fn keys() -> Options {
    use sha2::Digest;
    let hex = |key: &str| sha2::Sha256::digest(key).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let list = format!("shop:{},news:{}", hex("mq_one"), hex("mq_two"));
    Options { api_keys: list.parse().unwrap(), ..plain() }
}

const BODY: &[u8] = br#"{"to":"a@example.org","subject":"s","text":"t"}"#;

#[tokio::test]
async fn without_keys_the_api_is_for_this_machine_only() {
    let house = House::public(plain()).await;
    let reply = house.submit(std::str::from_utf8(BODY).unwrap()).await;
    reply.assert_problem(401, "missing_api_key");
    assert!(reply.header("www-authenticate").is_some());
    house.get("/emails").await.assert_problem(401, "missing_api_key");
    assert!(house.stored().await.is_empty());
    let local = House::open().await;
    for foreign in
        [("Host", "evil.example"), ("X-Forwarded-For", "192.0.2.1"), ("Sec-Fetch-Site", "cross-site")]
    {
        local.send("GET", "/emails", &[foreign], b"").await.assert_problem(401, "missing_api_key");
    }
}

#[tokio::test]
async fn every_wrong_key_gets_the_same_answer() {
    let house = House::public(keys()).await;
    let ask = async |authorization: &str| {
        house.send("GET", "/emails", &[("Authorization", authorization)], b"").await
    };
    let wrong = ask("Bearer mq_three").await;
    wrong.assert_problem(403, "invalid_api_key");
    assert!(wrong.header("www-authenticate").is_some());
    for other in ["Bearer x", "Bearer mq_one2", &format!("Bearer {}", "k".repeat(5000))] {
        assert_eq!(ask(other).await.body, wrong.body);
    }
    for missing in ["", "Basic bXFfb25l", "Bearer", "Bearer "] {
        ask(missing).await.assert_problem(401, "missing_api_key");
    }
    house.get("/emails").await.assert_problem(401, "missing_api_key");
}

#[tokio::test]
async fn tenants_see_nothing_of_each_other() {
    let house = House::public(keys()).await;
    let send = async |key: &str, method: &str, path: &str, body: &[u8]| {
        let authorization = format!("Bearer {key}");
        let headers = [
            ("Content-Type", "application/json"),
            ("Authorization", &*authorization),
            ("Idempotency-Key", "k"),
        ];
        house.send(method, path, &headers, body).await
    };
    let shop = send("mq_one", "POST", "/emails", BODY).await.id();
    let news = send("mq_two", "POST", "/emails", BODY).await.id();
    assert_ne!(shop, news);
    assert_eq!(send("mq_one", "GET", &format!("/emails/{shop}"), b"").await.status, 200);
    send("mq_two", "GET", &format!("/emails/{shop}"), b"").await.assert_problem(404, "not_found");
    let list = send("mq_two", "GET", "/api/emails", b"").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], news);
    // The open page shows neither.
    house.get(&format!("/messages/{shop}")).await.assert_problem(404, "not_found");
}
