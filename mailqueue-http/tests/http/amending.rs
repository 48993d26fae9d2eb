//! Rescheduling, cancelling and trying again.

use std::time::Duration;

use mailqueue_core::Status;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::house::{House, Reply};

async fn scheduled(house: &House) -> String {
    let body = json!({"to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": "in 1 day"});
    house.submit(&body.to_string()).await.id()
}

async fn patch(house: &House, id: &str, body: &Value) -> Reply {
    let json = [("Content-Type", "application/json")];
    house.send("PATCH", &format!("/emails/{id}"), &json, body.to_string().as_bytes()).await
}

async fn wish(house: &House, id: &str, what: &str) -> Reply {
    house.send("POST", &format!("/emails/{id}/{what}"), &[], b"").await
}

#[track_caller]
fn assert_granted(reply: &Reply, id: &str, status: &str) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json(), json!({"object": "email", "id": id, "status": status}));
}

/// Takes a message to send it, as a worker does.
async fn claimed(house: &House, id: &str) -> Status {
    let store = house.store.as_ref().unwrap();
    let terms = mailqueue_core::contracts::store::LeaseTerms {
        owner: "w".into(),
        token: uuid::Uuid::nil(),
        duration: Duration::from_secs(60),
        largest: u64::MAX,
    };
    let claimed = store.claim(&[id.parse().unwrap()], &terms).await.unwrap();
    claimed.leased[0].delivery.status
}

#[tokio::test]
async fn a_scheduled_message_is_moved() {
    let house = House::open().await;
    let id = scheduled(&house).await;
    let at = (house.outbox.clock().now() + time::Duration::days(3)).replace_microsecond(0).unwrap();
    let body = json!({"id": id, "scheduled_at": at.format(&Rfc3339).unwrap()});
    assert_granted(&patch(&house, &id, &body).await, &id, "queued");
    let told = house.get(&format!("/emails/{id}")).await.json();
    assert_eq!(told["last_event"], "scheduled");
    let read =
        |told: &Value| OffsetDateTime::parse(told["scheduled_at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert_eq!(read(&told), at);
    assert_granted(&patch(&house, &id, &json!({"scheduled_at": "tomorrow at 9am"})).await, &id, "queued");
    let told = house.get(&format!("/emails/{id}")).await.json();
    assert_eq!((read(&told).hour(), read(&told).minute()), (9, 0));
    assert_granted(&wish(&house, &id, "cancel").await, &id, "cancelled");
    let cancelled = house.get(&format!("/emails/{id}")).await.json();
    assert_eq!(read(&cancelled), read(&told), "for when it was cancelled, not for when it was wanted first");
}

#[tokio::test]
async fn what_makes_no_sense_is_pointed_at() {
    let house = House::open().await;
    let id = scheduled(&house).await;
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
        patch(&house, &id, &body).await.assert_invalid(&[pointer]);
    }
    let path = format!("/emails/{id}");
    house.send("PATCH", &path, &[], b"{}").await.assert_problem(415, "unsupported_media_type");
    let told = house.get(&path).await.json();
    assert_eq!(told["status"], "queued");
    let nobody = "019353a1-0000-7000-8000-000000000000";
    for what in ["cancel", "retry"] {
        wish(&house, nobody, what).await.assert_problem(404, "not_found");
        wish(&house, "x", what).await.assert_invalid(&["/id"]);
        house.get(&format!("/emails/{id}/{what}")).await.assert_problem(405, "method_not_allowed");
    }
    patch(&house, nobody, &json!({"scheduled_at": "in 1 hour"})).await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn a_cancelled_message_stays_cancelled() {
    let house = House::open().await;
    let id = scheduled(&house).await;
    let json = [("Content-Type", "application/json")];
    let first = house.send("POST", &format!("/api/emails/{id}/cancel"), &json, b"{}").await;
    assert_granted(&first, &id, "cancelled");
    assert_granted(&wish(&house, &id, "cancel").await, &id, "cancelled");
    assert_eq!(house.get(&format!("/emails/{id}")).await.json()["last_event"], "canceled");
    patch(&house, &id, &json!({"scheduled_at": "in 1 hour"})).await.assert_problem(409, "invalid_state");
    let problem = wish(&house, &id, "retry").await.assert_problem(409, "invalid_state");
    assert!(problem["message"].as_str().unwrap().contains("cancelled"), "{problem}");
}

#[tokio::test]
async fn what_is_being_sent_cannot_be_changed() {
    let house = House::open().await;
    let id = house.submit(r#"{"to":"a@example.org","subject":"s","text":"t"}"#).await.id();
    assert_eq!(claimed(&house, &id).await, Status::Sending);
    for what in ["cancel", "retry"] {
        wish(&house, &id, what).await.assert_problem(409, "invalid_state");
    }
    patch(&house, &id, &json!({"scheduled_at": "in 1 hour"})).await.assert_problem(409, "invalid_state");
}

#[tokio::test]
async fn a_waiting_message_is_tried_at_once() {
    let house = House::open().await;
    let id = scheduled(&house).await;
    assert_granted(&wish(&house, &id, "retry").await, &id, "queued");
    assert_eq!(house.get(&format!("/emails/{id}")).await.json()["last_event"], "queued");
    assert_eq!(claimed(&house, &id).await, Status::Sending);
}
