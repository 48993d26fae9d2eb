//! Several messages in one request.

use serde_json::{Value, json};

use crate::test_server::{Reply, TestServer};

fn message(subject: &str) -> Value {
    json!({"to": "a@example.org", "subject": subject, "text": "t"})
}

async fn send(server: &TestServer, validation: Option<&str>, body: &Value) -> Reply {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(validation.map(|validation| ("X-Batch-Validation", validation)));
    server.send("POST", "/emails/batch", &headers, body.to_string().as_bytes()).await
}

fn ids(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let data = reply.json()["data"].as_array().unwrap().clone();
    data.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn all_are_accepted_in_their_order() {
    let server = TestServer::open().await;
    let subjects: Vec<String> = (0..100).map(|n| format!("No. {n}")).collect();
    let body: Value = subjects.iter().map(|subject| message(subject)).collect();
    let reply = send(&server, None, &body).await;
    assert_eq!(reply.json().get("errors"), None);
    let ids = ids(&reply);
    assert_eq!(ids.len(), 100);
    for (id, subject) in ids.iter().zip(&subjects) {
        assert_eq!(server.get(&format!("/emails/{id}")).await.json()["subject"], **subject);
    }
    let api = server.send("POST", "/api/emails/batch", &[("Content-Type", "application/json")], b"[]").await;
    api.assert_invalid(&[""]);
}

#[tokio::test]
async fn a_strict_batch_is_taken_whole_or_not_at_all() {
    let server = TestServer::open().await;
    let bad = json!({"to": "nobody", "subject": "s", "text": "t"});
    let table = [
        (
            json!([message("a"), bad, {"to": ["a@example.org", "b"], "subject": "s", "text": "t"}]),
            vec!["/1/to", "/2/to/1"],
        ),
        (json!([message("a"), {"to_": "x", "to": "a@example.org", "subject": "s"}]), vec!["/1/to_"]),
        (json!([message("a"), 1, "x", null]), vec!["/1", "/2", "/3"]),
        (json!([1, 2]), vec!["/0", "/1"]),
        (json!([bad]), vec!["/0/to"]),
        (json!([message("a"), {"to": "a@example.org", "subject": "s"}]), vec!["/1/text"]),
        (json!([]), vec![""]),
        (json!({}), vec![""]),
        ((0..101).map(|_| message("a")).collect(), vec![""]),
    ];
    for (body, pointers) in table {
        for validation in [None, Some("strict")] {
            send(&server, validation, &body).await.assert_invalid(&pointers);
        }
    }
    send(&server, Some("lenient"), &json!([message("a")])).await.assert_problem(400, "validation_error");
    server
        .send("POST", "/emails/batch", &[("Content-Type", "text/plain")], b"[]")
        .await
        .assert_problem(415, "unsupported_media_type");
    server.get("/emails/batch").await.assert_problem(405, "method_not_allowed");
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn a_permissive_batch_says_of_each_what_became_of_it() {
    let server = TestServer::open().await;
    let body = json!([
        {"to": "nobody", "subject": "s", "text": "t"},
        message("one"),
        {"to": ["a@example.org", "b"], "subject": "s\n", "text": "t"},
        7,
        message("two"),
        {"to": "a@example.org", "subject": "big", "text": "x".repeat((10 << 20) + 1)},
    ]);
    let reply = send(&server, Some("permissive"), &body).await;
    assert_eq!(ids(&reply).len(), 2);
    let errors = reply.json()["errors"].as_array().unwrap().clone();
    let found: Vec<_> =
        errors.iter().map(|error| (&error["index"], &error["errors"][0]["pointer"])).collect();
    assert_eq!(
        found,
        [
            (&json!(0), &json!("/to")),
            (&json!(2), &json!("/subject")),
            (&json!(3), &json!("")),
            (&json!(5), &json!(""))
        ]
    );
    assert_eq!(errors[1]["errors"][1]["pointer"], "/to/1");
    assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|text| text.ends_with('.'))));
    let mut subjects: Vec<_> = server.stored().await.into_iter().map(|mail| mail.summary.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["one", "two"]);
    let none = send(&server, Some("permissive"), &json!([1, {}])).await;
    assert_eq!((ids(&none).len(), none.json()["errors"].as_array().unwrap().len()), (0, 2));
    assert_eq!(server.stored().await.len(), 2);
}

#[tokio::test]
async fn a_batch_has_one_key() {
    let server = TestServer::open().await;
    let send = async |body: Value, validation| {
        let headers = [
            ("Content-Type", "application/json"),
            ("Idempotency-Key", "k"),
            ("X-Batch-Validation", validation),
        ];
        server.send("POST", "/emails/batch", &headers, body.to_string().as_bytes()).await
    };
    let body = json!([message("a"), {"subject": "b"}, message("c")]);
    let first = send(body.clone(), "permissive").await;
    let again = send(body.clone(), "permissive").await;
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        (None, Some("true"))
    );
    assert_eq!(first.json(), again.json());
    for other in [
        json!([message("a"), message("c")]),
        json!([message("a")]),
        json!([message("c"), {"subject": "b"}, message("a")]),
    ] {
        send(other, "permissive").await.assert_problem(409, "invalid_idempotent_request");
    }
    send(body, "strict").await.assert_invalid(&["/1/to"]);
    assert_eq!(server.stored().await.len(), 2);
}
