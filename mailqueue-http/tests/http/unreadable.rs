//! A row of another version among others.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::test_server::{BROWSER, TestServer};

#[tokio::test]
async fn lists_show_it_as_what_it_is() {
    let server = TestServer::open().await;
    let mut ids = Vec::new();
    for subject in ["one", "two", "three"] {
        let body = format!(r#"{{"to":"ana@example.org","subject":"{subject}","text":"t"}}"#);
        ids.insert(0, server.submit(&body).await.id());
    }
    let file = server.file();
    let mut beside = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let spoil = r#"UPDATE deliveries SET recipients = '[{"to":"ana@example.org"}]'
        WHERE email_id = (SELECT id FROM emails WHERE subject = 'two')"#;
    beside.batch_execute(spoil).unwrap();

    let list = server.get("/emails").await.json();
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    assert_eq!((&data[1]["subject"], &data[1]["status"]), (&"two".into(), &"queued".into()));
    assert!(data[1]["unreadable"].as_str().unwrap().contains("recipients"), "{list}");
    assert!(data[0].get("unreadable").is_none() && data[2].get("unreadable").is_none(), "{list}");
    assert_eq!(server.get(&format!("/emails/{}", ids[1])).await.status, 500, "by itself it cannot be told");

    let page = server.send("GET", "/messages?lang=en", &[BROWSER], b"").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.text().matches("Unreadable").count(), 1);
    assert!(ids.iter().all(|id| page.text().contains(id.as_str())));
}
