//! The files of a message, handed back.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailqueue_core::contracts::store::Retention;
use serde_json::{Value, json};

use crate::test_server::{Reply, TestServer};

/// Files of every kind: each is a name, its media type, its Content-ID and what is in it.
fn files() -> Vec<(&'static str, Value, Value, Vec<u8>)> {
    vec![
        ("notes.txt", json!(null), json!(null), b"caf\xE9\r\n.\r\nlatin, not UTF-8".to_vec()),
        ("logo.png", json!("image/png"), json!("logo"), (0..=255).cycle().take(5000).collect()),
        (
            "página \"1\" ☃.html",
            json!("text/html; charset=iso-8859-1"),
            json!(null),
            b"<script>x</script>".to_vec(),
        ),
        ("two.bin", json!(null), json!("two"), vec![0; 3]),
        ("empty", json!(null), json!(null), Vec::new()),
    ]
}

async fn submit(server: &TestServer, html: Option<&str>) -> String {
    let attachments: Vec<Value> = files()
        .into_iter()
        .map(|(filename, content_type, content_id, content)| {
            let content = STANDARD.encode(content);
            json!({"filename": filename, "content_type": content_type, "content_id": content_id, "content": content})
        })
        .collect();
    let body =
        json!({"to": "a@example.org", "subject": "s", "text": "t", "html": html, "attachments": attachments});
    server.submit(&body.to_string()).await.id()
}

async fn list(server: &TestServer, id: &str, query: &str) -> Reply {
    server.get(&format!("/emails/{id}/attachments{query}")).await
}

/// What stands behind a server's name and port.
fn path(url: &str, server: &TestServer) -> String {
    let origin = format!("http://{}", server.address);
    url.strip_prefix(&origin).unwrap_or_else(|| panic!("{url} is not on {origin}")).to_owned()
}

#[tokio::test]
async fn every_file_comes_back_as_it_was() {
    let server = TestServer::open().await;
    for html in [Some("<p><img src='cid:logo'></p>"), None] {
        let id = submit(&server, html).await;
        let told = list(&server, &id, "").await.json();
        assert_eq!((&told["object"], &told["has_more"]), (&json!("list"), &json!(false)));
        let types = [
            "text/plain",
            "image/png",
            "text/html; charset=iso-8859-1",
            "application/octet-stream",
            "application/octet-stream",
        ];
        for ((n, (name, _, content_id, content)), media_type) in files().into_iter().enumerate().zip(types) {
            let file = &told["data"][n];
            assert_eq!(file["filename"], name);
            assert_eq!(file["size"], content.len());
            assert_eq!(file["content_type"], media_type);
            assert_eq!(file["content_id"], content_id);
            let inline = html.is_some() && !content_id.is_null();
            assert_eq!(file["content_disposition"], if inline { "inline" } else { "attachment" });
            let address = format!("/emails/{id}/attachments/{}", file["id"].as_str().unwrap());
            let alone = server.get(&address).await.json();
            assert_eq!((&alone["id"], &alone["object"]), (&file["id"], &json!("attachment")));
            let url = path(file["download_url"].as_str().unwrap(), &server);
            let download = server.get(&url).await;
            assert_eq!(download.status, 200);
            assert_eq!(download.body, content, "{name}");
            assert_eq!(download.header("content-type"), Some(media_type));
        }
    }
}

#[tokio::test]
async fn a_download_is_saved_and_never_run() {
    let server = TestServer::open().await;
    let id = submit(&server, None).await;
    let told = list(&server, &id, "").await.json();
    let page = server.get(&path(told["data"][2]["download_url"].as_str().unwrap(), &server)).await;
    assert_eq!(
        page.header("content-disposition"),
        Some(
            "attachment; filename=\"p_gina _1_ _.html\"; filename*=UTF-8''p%C3%A1gina%20%221%22%20%E2%98%83.html"
        )
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn addresses_are_those_that_the_client_can_reach() {
    let server = TestServer::open().await;
    let id = submit(&server, None).await;
    let headers = [("Host", "localhost"), ("X-Forwarded-Proto", "https")];
    let told =
        server.send("GET", &format!("/api/emails/{id}/attachments?limit=1"), &headers, b"").await.json();
    let url = told["data"][0]["download_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://localhost/api/emails/{id}/attachments/")), "{url}");
}

#[tokio::test]
async fn the_list_is_paged() {
    let server = TestServer::open().await;
    let id = submit(&server, None).await;
    let all = list(&server, &id, "").await.json();
    let ids: Vec<&str> =
        all["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap()).collect();
    let page = async |query: String| {
        let told = list(&server, &id, &query).await.json();
        let data = told["data"].as_array().unwrap().clone();
        let found: Vec<String> = data.iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect();
        (found, told["has_more"] == true)
    };
    let own =
        |range: std::ops::Range<usize>| ids[range].iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(page("?limit=2".into()).await, (own(0..2), true));
    assert_eq!(page(format!("?limit=2&after={}", ids[1])).await, (own(2..4), true));
    assert_eq!(page(format!("?after={}", ids[3])).await, (own(4..5), false));
    assert_eq!(page(format!("?limit=2&before={}", ids[3])).await, (own(1..3), true));
    assert_eq!(page(format!("?before={}", ids[1])).await, (own(0..1), false));
    for (query, pointer) in
        [("limit=0", "/limit"), ("after=x", "/after"), ("x=1", "/x"), ("after=a&before=b", "/before")]
    {
        list(&server, &id, &format!("?{query}")).await.assert_invalid(&[pointer]);
    }
}

#[tokio::test]
async fn an_unknown_attachment_is_404() {
    let server = TestServer::open().await;
    let id = submit(&server, None).await;
    let told = list(&server, &id, "").await.json();
    let file = told["data"][0]["id"].as_str().unwrap();
    let other = server.submit(r#"{"to":"a@example.org","subject":"s","text":"t"}"#).await.id();
    assert_eq!(list(&server, &other, "").await.json()["data"], json!([]));
    let nobody = "019353a1-0000-7000-8000-000000000000";
    for path in [
        format!("/emails/{nobody}/attachments"),
        format!("/emails/{other}/attachments/{file}"),
        format!("/emails/{other}/attachments/{file}/content"),
        format!("/emails/{id}/attachments/0"),
        format!("/emails/{id}/attachments/{nobody}/content"),
    ] {
        server.get(&path).await.assert_problem(404, "not_found");
    }
    server.get("/emails/x/attachments").await.assert_invalid(&["/id"]);
}

#[tokio::test]
async fn after_retention_the_files_are_gone() {
    let server = TestServer::open().await;
    let id = submit(&server, None).await;
    let told = list(&server, &id, "").await.json();
    let url = path(told["data"][0]["download_url"].as_str().unwrap(), &server);
    server.outbox.cancel(id.parse().unwrap()).await.unwrap();
    let store = &server.store;
    let retention = Retention { content: Duration::ZERO, record: Duration::from_secs(3600) };
    while store.prune(&retention, 10).await.unwrap().contents == 0 {
        tokio::task::yield_now().await;
    }
    server.get(&url).await.assert_problem(404, "not_found");
    server.get(url.trim_end_matches("/content")).await.assert_problem(404, "not_found");
    list(&server, &id, "").await.assert_problem(404, "not_found");
    assert_eq!(server.get(&format!("/emails/{id}")).await.json()["attachments"][0]["filename"], "notes.txt");
}
