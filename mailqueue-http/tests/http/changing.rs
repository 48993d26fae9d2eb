//! Rescheduling, cancelling and trying again.

use std::time::Duration;

use mailqueue_core::Status;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::test_server::{Reply, TestServer};

async fn scheduled(server: &TestServer) -> String {
    let body = json!({"to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": "in 1 day"});
    server.submit(&body.to_string()).await.id()
}

async fn patch(server: &TestServer, id: &str, body: &Value) -> Reply {
    let json = [("Content-Type", "application/json")];
    server.send("PATCH", &format!("/emails/{id}"), &json, body.to_string().as_bytes()).await
}

async fn change(server: &TestServer, id: &str, what: &str) -> Reply {
    server.send("POST", &format!("/emails/{id}/{what}"), &[], b"").await
}

#[track_caller]
fn assert_granted(reply: &Reply, id: &str, status: &str) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json(), json!({"object": "email", "id": id, "status": status}));
}

/// Takes a message to send it, as a worker does.
async fn claimed(server: &TestServer, id: &str) -> Status {
    let store = &server.store;
    let terms = mailqueue_core::contracts::store::LeaseTerms {
        owner: "w".into(),
        token: uuid::Uuid::nil(),
        duration: Duration::from_secs(60),
        largest: u64::MAX,
        dot_up_to: None,
    };
    let claimed = store.claim(&[id.parse().unwrap()], &terms).await.unwrap();
    claimed.leased[0].delivery.status
}

#[tokio::test]
async fn a_scheduled_message_is_moved() {
    let server = TestServer::open().await;
    let id = scheduled(&server).await;
    let at = (server.outbox.clock().now() + time::Duration::days(3)).replace_microsecond(0).unwrap();
    let body = json!({"id": id, "scheduled_at": at.format(&Rfc3339).unwrap()});
    assert_granted(&patch(&server, &id, &body).await, &id, "queued");
    let told = server.get(&format!("/emails/{id}")).await.json();
    assert_eq!(told["last_event"], "scheduled");
    let read =
        |told: &Value| OffsetDateTime::parse(told["scheduled_at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert_eq!(read(&told), at);
    assert_granted(&patch(&server, &id, &json!({"scheduled_at": "tomorrow at 9am"})).await, &id, "queued");
    let told = server.get(&format!("/emails/{id}")).await.json();
    assert_eq!((read(&told).hour(), read(&told).minute()), (9, 0));
    assert_granted(&change(&server, &id, "cancel").await, &id, "cancelled");
    let cancelled = server.get(&format!("/emails/{id}")).await.json();
    assert_eq!(read(&cancelled), read(&told), "for when it was cancelled, not for when it was wanted first");
}

#[tokio::test]
async fn every_faulty_field_of_a_change_is_pointed_at() {
    let server = TestServer::open().await;
    let id = scheduled(&server).await;
    for (body, pointer) in [
        (json!({}), "/scheduled_at"),
        (json!({"scheduled_at": null}), "/scheduled_at"),
        (json!({"scheduled_at": 7}), "/scheduled_at"),
        (json!({"scheduled_at": "soon"}), "/scheduled_at"),
        (json!({"scheduled_at": "2020-01-01T00:00:00Z"}), "/scheduled_at"),
        (json!({"scheduled_at": "in 31 days"}), "/scheduled_at"),
        (json!({"scheduled_at": "in 1 hour", "subject": "x"}), "/subject"),
        (json!({"scheduled_at": "in 1 hour", "id": "x"}), "/id"),
        (json!([]), ""),
    ] {
        patch(&server, &id, &body).await.assert_invalid(&[pointer]);
    }
    patch(&server, &id, &json!({"scheduled_at": 7, "id": "x"}))
        .await
        .assert_invalid(&["/id", "/scheduled_at"]);
    let path = format!("/emails/{id}");
    server.send("PATCH", &path, &[], b"{}").await.assert_problem(415, "unsupported_media_type");
    let told = server.get(&path).await.json();
    assert_eq!(told["status"], "queued");
    let nobody = "019353a1-0000-7000-8000-000000000000";
    for what in ["cancel", "retry"] {
        change(&server, nobody, what).await.assert_problem(404, "not_found");
        change(&server, "x", what).await.assert_invalid(&["/id"]);
        server.get(&format!("/emails/{id}/{what}")).await.assert_problem(405, "method_not_allowed");
    }
    patch(&server, nobody, &json!({"scheduled_at": "in 1 hour"})).await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn a_cancelled_message_stays_cancelled() {
    let server = TestServer::open().await;
    let id = scheduled(&server).await;
    let json = [("Content-Type", "application/json")];
    let first = server.send("POST", &format!("/api/emails/{id}/cancel"), &json, b"{}").await;
    assert_granted(&first, &id, "cancelled");
    assert_granted(&change(&server, &id, "cancel").await, &id, "cancelled");
    assert_eq!(server.get(&format!("/emails/{id}")).await.json()["last_event"], "canceled");
    patch(&server, &id, &json!({"scheduled_at": "in 1 hour"})).await.assert_problem(409, "invalid_state");
    let problem = change(&server, &id, "retry").await.assert_problem(409, "invalid_state");
    assert!(problem["message"].as_str().unwrap().contains("cancelled"), "{problem}");
}

#[tokio::test]
async fn a_message_that_is_being_sent_cannot_be_changed() {
    let server = TestServer::open().await;
    let id = server.submit(r#"{"to":"a@example.org","subject":"s","text":"t"}"#).await.id();
    assert_eq!(claimed(&server, &id).await, Status::Sending);
    for what in ["cancel", "retry"] {
        change(&server, &id, what).await.assert_problem(409, "invalid_state");
    }
    patch(&server, &id, &json!({"scheduled_at": "in 1 hour"})).await.assert_problem(409, "invalid_state");
}

#[tokio::test]
async fn a_waiting_message_is_tried_at_once() {
    let server = TestServer::open().await;
    let id = scheduled(&server).await;
    assert_granted(&change(&server, &id, "retry").await, &id, "queued");
    assert_eq!(server.get(&format!("/emails/{id}")).await.json()["last_event"], "queued");
    assert_eq!(claimed(&server, &id).await, Status::Sending);
}
