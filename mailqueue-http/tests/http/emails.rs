//! What programs get when all is well.

use serde_json::{Value, json};

use crate::test_server::TestServer;

#[tokio::test]
async fn a_message_is_kept_and_told_in_resends_shape() {
    let server = TestServer::open().await;
    let body = json!({
        "from": "Shop <shop@example.com>", "to": "Ana <ana@example.org>", "cc": ["c@example.org"],
        "bcc": "b@example.org", "reply_to": ["r@example.com"], "subject": "Olá ☃", "text": "oi", "html": "<p>oi</p>",
        "headers": {"X-Entity-Ref-ID": "7"}, "tags": [{"name": "kind", "value": "order"}],
        "attachments": [{"filename": "a.txt", "content": "aGk=", "content_type": "text/plain", "content_id": "a"}],
        "lane": "urgent", "smtputf8": false,
    });
    let reply = server.submit(&body.to_string()).await;
    let id = reply.id();
    assert_eq!(reply.json(), json!({ "id": id }));
    assert_eq!(reply.header("location"), Some(&*format!("/emails/{id}")));
    let told = server.get(&format!("/emails/{id}")).await.json();
    for (member, value) in [
        ("object", json!("email")),
        ("id", json!(id)),
        ("from", json!("Shop <shop@example.com>")),
        ("to", json!(["Ana <ana@example.org>"])),
        ("cc", json!(["c@example.org"])),
        ("bcc", json!(["b@example.org"])),
        ("reply_to", json!(["r@example.com"])),
        ("subject", json!("Olá ☃")),
        ("text", json!("oi")),
        ("html", json!("<p>oi</p>")),
        ("tags", json!([{"name": "kind", "value": "order"}])),
        ("headers", json!({"X-Entity-Ref-ID": "7"})),
        ("message_id", json!(format!("<{id}@example.com>"))),
        ("scheduled_at", json!(null)),
        ("last_event", json!("queued")),
        ("status", json!("queued")),
        ("lane", json!("urgent")),
        ("attempts", json!([])),
    ] {
        assert_eq!(told[member], value, "{member}");
    }
    assert!(told["created_at"].as_str().unwrap().ends_with('Z'));
    let recipients: Vec<_> = told["recipients"].as_array().unwrap().iter().map(|r| &r["address"]).collect();
    assert_eq!(recipients, ["ana@example.org", "c@example.org", "b@example.org"]);
    let raw = server.stored().await;
    assert_eq!(raw.len(), 1);
    let record = server.outbox.get(raw[0].id).await.unwrap().unwrap();
    let sent = String::from_utf8(record.raw.unwrap()).unwrap();
    assert!(!sent.contains("b@example.org"), "a blind copy is named in the message");
    assert!(sent.contains(&format!("Message-ID: <{id}@example.com>\r\n")));
}

#[tokio::test]
async fn the_default_sender_stands_in() {
    let server = TestServer::open().await;
    let id = server.submit(r#"{"to":"a@example.org","subject":"","text":""}"#).await.id();
    assert_eq!(server.get(&format!("/emails/{id}")).await.json()["from"], "mailqueue@example.com");
    let nobody = TestServer::with("127.0.0.1:0", mailqueue_http::Options::default()).await;
    nobody.submit(r#"{"to":"a@example.org","subject":"s","text":"t"}"#).await.assert_invalid(&["/from"]);
}

#[tokio::test]
async fn the_same_routes_stand_under_api() {
    let server = TestServer::open().await;
    let json = [("Content-Type", "application/json")];
    let body = br#"{"to":"a@example.org","subject":"s","text":"t"}"#;
    let reply = server.send("POST", "/api/emails", &json, body).await;
    let location = reply.header("location").unwrap().to_owned();
    assert_eq!(location, format!("/api/emails/{}", reply.id()));
    assert_eq!(server.get(&location).await.json()["id"], reply.id());
    assert_eq!(server.get("/api/emails").await.json()["data"][0]["id"], reply.id());
    assert_eq!(server.get("/api/livez").await.status, 200);
    assert_eq!(server.get("/api/readyz").await.status, 200);
    let head = server.send("HEAD", "/livez", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn scheduled_messages_say_so() {
    let server = TestServer::open().await;
    let at = server.outbox.clock().now() + time::Duration::hours(2);
    let at = at.replace_microsecond(0).unwrap();
    let text = at
        .to_offset(time::macros::offset!(-3))
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    let body = json!({"to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": text});
    let told = server.get(&format!("/emails/{}", server.submit(&body.to_string()).await.id())).await.json();
    assert_eq!(told["last_event"], "scheduled");
    let read = |told: &Value| {
        let text = told["scheduled_at"].as_str().unwrap();
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
    };
    assert_eq!(read(&told), at);
    let before = server.outbox.clock().now();
    let body = json!({"to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": "in 2 days"});
    let told = server.get(&format!("/emails/{}", server.submit(&body.to_string()).await.id())).await.json();
    assert_eq!(told["last_event"], "scheduled");
    let after = server.outbox.clock().now();
    let days = time::Duration::days(2);
    assert!((before + days - time::Duration::MILLISECOND..=after + days).contains(&read(&told)), "{told}");
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let server = TestServer::open().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let body = json!({"to": format!("a{n}@example.org"), "subject": format!("Pedido {n}"), "text": "t"});
        ids.insert(0, server.submit(&body.to_string()).await.id());
    }
    let list = async |query: &str| {
        let list = server.get(&format!("/emails{query}")).await.json();
        assert_eq!(list["object"], "list");
        let data = list["data"].as_array().unwrap();
        let ids: Vec<String> = data.iter().map(|mail| mail["id"].as_str().unwrap().to_owned()).collect();
        assert!(data.iter().all(|mail| mail.get("text").is_none() && mail.get("status").is_some()));
        (ids, list["has_more"] == true)
    };
    assert_eq!(list("").await, (ids.clone(), false));
    assert_eq!(list("?limit=2").await, (ids[..2].to_vec(), true));
    assert_eq!(list(&format!("?limit=2&after={}", ids[1])).await, (ids[2..4].to_vec(), true));
    assert_eq!(list(&format!("?limit=2&before={}", ids[3])).await.0, ids[1..3].to_vec());
    assert_eq!(list("?to=a3%40example.org").await.0, ids[1..2].to_vec());
    assert_eq!(list("?q=pedido+3").await.0, ids[1..2].to_vec());
    assert_eq!(list("?status=queued&limit=100").await.0.len(), 5);
    assert_eq!(list("?status=sent").await, (Vec::new(), false));
}
