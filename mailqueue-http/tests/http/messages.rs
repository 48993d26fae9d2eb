//! The list of messages and what can be done there.

use serde_json::{Value, json};

use crate::test_server::{BROWSER, Reply, TestServer};

const OWN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

async fn submit(server: &TestServer, more: Value) -> String {
    let mut body = json!({"to": "ana@example.org", "subject": "Pedido", "text": "Tudo bem?"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.submit(&body.to_string()).await.id()
}

async fn page(server: &TestServer, path: &str) -> Reply {
    server.send("GET", path, &[BROWSER], b"").await
}

async fn change(server: &TestServer, path: &str, body: &str) -> Reply {
    server.send("POST", path, &[FORM, BROWSER, OWN], body.as_bytes()).await
}

/// The addresses of the messages on a page, in order.
fn listed(page: &Reply) -> Vec<String> {
    let links = page.text().split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.map(|link| link.replace("&#x2f;", "/")).filter(|link| link.starts_with("/messages/")).collect()
}

#[tokio::test]
async fn a_message_is_found_by_what_is_known_of_it() {
    let server = TestServer::open().await;
    let one = submit(&server, json!({"subject": "Pedido 7", "to": "rui@example.net"})).await;
    let two =
        submit(&server, json!({"subject": "Fatura", "tags": [{"name": "kind", "value": "invoice"}]})).await;
    server.outbox.cancel(two.parse().unwrap()).await.unwrap();
    let (one, two) = (format!("/messages/{one}"), format!("/messages/{two}"));
    for (query, expected) in [
        ("", vec![&two, &one]),
        ("q=", vec![&two, &one]),
        ("q=pedido", vec![&one]),
        ("q=to%3Arui%40example.net", vec![&one]),
        ("q=status%3Acancelled", vec![&two]),
        ("status=cancelled", vec![&two]),
        ("to=rui%40example.net&q=7", vec![&one]),
        ("q=tag%3Akind%3Dinvoice+fatura", vec![&two]),
        ("q=after%3A2020-01-01", vec![&two, &one]),
        ("q=before%3A2020-01-01", vec![]),
        ("q=from%3Amailqueue%40example.com+lane%3Anormal", vec![&two, &one]),
        ("q=subject%3A%22nada+disso%22", vec![]),
        ("limit=1", vec![&two]),
    ] {
        let found = page(&server, &format!("/messages?{query}")).await;
        assert_eq!(found.status, 200, "{query}");
        assert_eq!(listed(&found).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let id = page(&server, &format!("/messages?q=id%3A{}", &one[10..])).await;
    assert_eq!((id.status, id.header("location")), (303, Some(&*one)));
}

#[tokio::test]
async fn a_search_that_is_none_gets_a_hint() {
    let server = TestServer::open().await;
    submit(&server, json!({})).await;
    for (query, hint) in [
        ("q=stauts%3Afailed", "Não existe o qualificador stauts:. Talvez status:?"),
        ("q=colour%3Ared", "Não existe o qualificador colour:."),
        ("q=status%3Adone", "O valor de status: não serve"),
        ("q=lane%3Abulk+lane%3Abulk", "lane: só pode aparecer uma vez"),
        ("q=%22a", "Falta fechar as aspas"),
        ("q=%3Cscript%3E%3A1", "script"),
    ] {
        let faulty = page(&server, &format!("/messages?{query}")).await;
        if query.contains("script") {
            assert!(!faulty.text().contains("<script"), "{query}");
            continue;
        }
        assert_eq!(faulty.status, 422, "{query}");
        assert!(faulty.text().contains(hint), "{query}: {}", faulty.text());
        assert_eq!(listed(&faulty), [""; 0], "{query}");
    }
}

#[tokio::test]
async fn pages_follow_one_another() {
    let server = TestServer::open().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.insert(0, format!("/messages/{}", submit(&server, json!({"subject": format!("n {n}")})).await));
    }
    let next = |page: &Reply| {
        let (_, rest) = page.text().split_once("rel=\"next\" href=\"")?;
        Some(rest.split('"').next().unwrap().replace("&#x2f;", "/").replace("&amp;", "&"))
    };
    let first = page(&server, "/messages?limit=2").await;
    assert_eq!(listed(&first), ids[..2]);
    assert!(!first.text().contains("Mais recentes"));
    let second = page(&server, &format!("{}&limit=2", next(&first).unwrap())).await;
    assert_eq!(listed(&second), ids[2..4]);
    assert!(second.text().contains("Mais recentes"));
    let third = page(&server, &format!("{}&limit=2", next(&second).unwrap())).await;
    assert_eq!(listed(&third), ids[4..]);
    assert_eq!(next(&third), None);
}

#[tokio::test]
async fn several_messages_are_changed_at_once() {
    let server = TestServer::open().await;
    let (one, two) = (submit(&server, json!({})).await, submit(&server, json!({})).await);
    let three = submit(&server, json!({"subject": "fica"})).await;
    server.outbox.cancel(two.parse().unwrap()).await.unwrap();
    let body = format!("change=cancel&id={one}&id={two}&query=q%3DPedido%26");
    let changed = change(&server, "/messages", &body).await;
    assert_eq!(
        (changed.status, changed.header("location")),
        (303, Some("/messages?q=Pedido&changed=1&refused=1"))
    );
    let list = page(&server, "/messages?q=Pedido&changed=1&refused=1").await;
    assert!(list.text().contains("Mensagens alteradas: 1. Não foi possível alterar: 1."));
    let statuses: Vec<String> =
        server.stored().await.iter().map(|record| record.delivery.status.to_string()).collect();
    assert_eq!(statuses, ["queued", "cancelled", "cancelled"]);
    for faulty in [format!("change=burn&id={three}"), "change=cancel&id=7".to_owned()] {
        assert_eq!(change(&server, "/messages", &faulty).await.status, 422, "{faulty}");
    }
    let evil = change(&server, "/messages", "change=cancel&query=%0d%0aSet-Cookie%3A+a").await;
    assert_eq!(evil.header("location"), Some("/messages?changed=0&refused=0"));
}

#[tokio::test]
async fn a_message_is_moved_to_another_time() {
    let server = TestServer::open().await;
    let id = submit(&server, json!({})).await;
    let address = format!("/messages/{id}");
    let tomorrow = server.outbox.clock().now() + time::Duration::days(1);
    let at = format!("{}T10%3A30", tomorrow.date());
    let moved = change(&server, &address, &format!("change=reschedule&at={at}")).await;
    assert_eq!(moved.status, 303, "{}", moved.text());
    let record = &server.stored().await[0];
    assert_eq!(record.due_at, tomorrow.date().with_hms(10, 30, 0).unwrap().assume_utc());
    let shown = page(&server, &address).await;
    assert!(
        shown.text().contains("A mensagem está agendada") && !shown.text().contains("Mensagem enfileirada!")
    );
    assert!(page(&server, "/messages").await.text().contains("Agendada"));
    for wrong in ["", "soon", "2020-01-01T10%3A30", "2026-02-30T10%3A30"] {
        let refused = change(&server, &address, &format!("change=reschedule&at={wrong}")).await;
        assert_eq!(refused.status, 422, "{wrong}");
    }
    server.outbox.cancel(id.parse().unwrap()).await.unwrap();
    assert_eq!(change(&server, &address, "change=cancel").await.status, 409);
    assert_eq!(change(&server, &address, "change=burn").await.status, 422);
    assert_eq!(
        change(&server, &format!("/messages/{}", uuid::Uuid::nil()), "change=cancel").await.status,
        404
    );
}

#[tokio::test]
async fn the_parts_of_a_message_are_closed_off() {
    let server = TestServer::open().await;
    let html = "<p onclick=\"a()\">Olá</p><script>a()</script><img src=\"cid:logo\"><img src=\"https://evil.example/x.png\">";
    let files = json!([
        {"filename": "logo.png", "content": "iVBORw0KGgo=", "content_type": "image/png", "content_id": "logo"},
        {"filename": "nota.txt", "content": "b2k=", "content_type": "text/html"},
    ]);
    let id = submit(&server, json!({"html": html, "attachments": files})).await;
    let part = async |part: &str| page(&server, &format!("/messages/{id}/{part}")).await;
    let shown = part("html").await;
    assert_eq!(shown.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = shown.header("content-security-policy").unwrap();
    assert!(policy.starts_with("sandbox allow-popups") && policy.contains("default-src 'none'"));
    assert!(policy.contains("img-src data:;") && !policy.contains("script"));
    assert_eq!(shown.header("referrer-policy"), Some("no-referrer"));
    assert!(shown.text().contains("src=\"data:image/png;base64,iVBORw0KGgo=\""));
    let asked = part("html?pictures=1").await;
    assert!(asked.header("content-security-policy").unwrap().contains("img-src data: https: http:;"));
    for (name, piece) in [
        ("source", "<script>"),
        ("text", "Tudo bem?"),
        ("headers", "Subject: Pedido"),
        ("raw", "MIME-Version"),
    ] {
        let text = part(name).await;
        assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"), "{name}");
        assert_eq!(text.header("x-content-type-options"), Some("nosniff"));
        assert!(text.text().contains(piece), "{name}");
    }
    assert!(!part("headers").await.text().contains("Tudo bem?"));
    let saved = part("eml").await;
    assert_eq!(saved.header("content-type"), Some("message/rfc822"));
    assert_eq!(saved.header("content-disposition"), Some(&*format!("attachment; filename=\"{id}.eml\"")));
    assert_eq!(part("nothing").await.status, 404);
    let message = page(&server, &format!("/messages/{id}")).await;
    let sandbox = "sandbox=\"allow-popups allow-popups-to-escape-sandbox\"";
    assert!(message.text().contains(sandbox), "{}", message.text());
    assert!(!message.text().contains("<script"));
    let file = message.text().split("/attachments/").nth(2).unwrap().split('"').next().unwrap().to_owned();
    let file = part(&format!("attachments/{file}")).await;
    assert_eq!(file.body, b"oi");
    assert!(file.header("content-disposition").unwrap().starts_with("attachment"));
    assert!(file.header("content-security-policy").unwrap().contains("sandbox"));
}
