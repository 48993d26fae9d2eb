//! Two tenants over every address that names a message.

use serde_json::json;

use crate::keys::entry;
use crate::test_server::{TestServer, plain};

#[tokio::test]
async fn a_foreign_message_is_none_at_every_address() {
    let list = [entry("shop", "mq_one", ""), entry("news", "mq_two", "")].join(",");
    let options = mailqueue_http::Options { api_keys: list.parse().unwrap(), ..plain() };
    let server = TestServer::public(options).await;
    let send = async |key: Option<&str>, method: &str, path: &str, body: &str| {
        let authorization = key.map(|key| format!("Bearer {key}"));
        let mut headers = vec![("Content-Type", "application/json"), ("Idempotency-Key", "k")];
        headers.extend(authorization.as_deref().map(|authorization| ("Authorization", authorization)));
        server.send(method, path, &headers, body.as_bytes()).await
    };
    let body = json!({
        "to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": "in 1 hour",
        "attachments": [{"filename": "a.txt", "content": "aGk="}],
    });
    let batch = json!([body, body]).to_string();
    let own = send(Some("mq_one"), "POST", "/emails/batch", &batch).await.json();
    let id = own["data"][0]["id"].as_str().unwrap();
    let files = send(Some("mq_one"), "GET", &format!("/emails/{id}/attachments"), "").await.json();
    let file = format!("/attachments/{}", files["data"][0]["id"].as_str().unwrap());
    let content = format!("{file}/content");
    let table = [
        ("GET", "", "", 200),
        ("GET", "/attachments", "", 200),
        ("GET", &*file, "", 200),
        ("GET", &*content, "", 200),
        ("PATCH", "", r#"{"scheduled_at":"in 2 hours"}"#, 200),
        ("POST", "/retry", "", 200),
        ("POST", "/cancel", "", 200),
    ];
    for (method, rest, body, status) in table {
        let path = format!("/emails/{id}{rest}");
        send(Some("mq_two"), method, &path, body).await.assert_problem(404, "not_found");
        send(None, method, &path, body).await.assert_problem(401, "missing_api_key");
        send(Some("mq_three"), method, &path, body).await.assert_problem(403, "invalid_api_key");
        let granted = send(Some("mq_one"), method, &path, body).await;
        assert_eq!(granted.status, status, "{method} {path}: {}", granted.text());
    }
    let other = send(Some("mq_two"), "POST", "/emails/batch", &batch).await;
    assert_eq!(other.header("idempotent-replayed"), None, "a key is its tenant's");
    assert_ne!(other.json()["data"][0]["id"], own["data"][0]["id"]);
    send(None, "POST", "/emails/batch", &batch).await.assert_problem(401, "missing_api_key");
    let docs = send(None, "GET", "/docs", "").await;
    assert_eq!(docs.status, 200, "what the API is like is no secret");
}
