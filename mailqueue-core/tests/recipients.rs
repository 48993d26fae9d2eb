//! The messages of a recipient are found whenever they were kept, and none is found that is gone.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Draft, Filter, MessageId, MessageStore, Outbox};
use mailqueue_testing::Postgres;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const ANA: &str = "ana@example.org";
const BEN: &str = "ben@example.org";

/// The step as if it had not been run yet.
const FORGET: &str = "DELETE FROM mailqueue_migrations WHERE version = '20261125000006'";
/// A row that somebody has edited, so that nobody can tell whom it is for.
const SPOIL: &str = "UPDATE deliveries SET recipients = '[\"?\", {\"address\": null}, {}]' WHERE email_id = ";

async fn outbox(store: Arc<dyn MessageStore>) -> Outbox {
    Outbox::start(store, mailqueue_core::connect::queue(None).expect("a queue in this process")).await
}

async fn submit(outbox: &Outbox, cc: &str) -> MessageId {
    let mut draft = Draft::new("shop@example.com", ANA, "Order").text("It is on its way.");
    draft.cc = vec![format!("Somebody <{cc}>")];
    outbox.submit(draft).await.expect("it is kept").id
}

async fn to(outbox: &Outbox, address: &str) -> Vec<MessageId> {
    let filter = Filter { to: Some(address.into()), ..Filter::default() };
    outbox.list(filter).await.expect("a page is read").ids().collect()
}

async fn postgres(url: &str) -> Outbox {
    let options = PostgresOptions { allow_unsafe: true, reserve: 0, ..PostgresOptions::default() };
    outbox(Arc::new(PostgresStore::open(&url.into(), &options).await.expect("it can be migrated"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_from_before_their_table_are_found_in_postgres() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    let before = postgres(&url).await;
    let (spoilt, kept) = (submit(&before, BEN).await, submit(&before, BEN).await);
    drop(before);
    let down = include_str!("../migrations/postgres/2026-11-25-000006_find_by_recipient/down.sql");
    server.query(&url, &format!("{down}; {FORGET}; {SPOIL} '{spoilt}'"));
    let again = postgres(&url).await;
    let new = submit(&again, ANA).await;
    assert_eq!((to(&again, ANA).await, to(&again, BEN).await), (vec![new, kept], vec![kept]));
    server.query(&url, "DELETE FROM emails");
    assert_eq!(server.query(&url, "SELECT count(*)::text FROM addressees"), [[Some("0".to_owned())]]);
    assert_eq!(to(&again, ANA).await, []);
}

/// What is built by hand before the upgrade is left as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_recipients_built_by_hand_is_kept() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    let before = postgres(&url).await;
    let kept = submit(&before, BEN).await;
    server.query(&url, &format!("{FORGET}; DELETE FROM addressees WHERE address = '{BEN}'"));
    let again = postgres(&url).await;
    assert_eq!((to(&again, ANA).await, to(&again, BEN).await), (vec![kept], vec![]));
}

async fn sqlite(path: &Path) -> Outbox {
    outbox(Arc::new(SqliteStore::open(path, &SqliteOptions::default()).await.expect("it can be migrated")))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_from_before_their_table_are_found_in_sqlite() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("mail.db");
    let mut beside = {
        drop(sqlite(&path).await);
        SqliteConnection::establish(&path.to_string_lossy()).expect("it can be opened twice")
    };
    beside.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON").expect("pragmas");
    let before = sqlite(&path).await;
    let (spoilt, kept) = (submit(&before, BEN).await, submit(&before, BEN).await);
    drop(before);
    let down = include_str!("../migrations/sqlite/2026-11-25-000006_find_by_recipient/down.sql");
    let id = spoilt.as_uuid().simple();
    beside.batch_execute(&format!("{down}; {FORGET}; {SPOIL} x'{id}'")).expect("it leads back");
    let again = sqlite(&path).await;
    let new = submit(&again, ANA).await;
    assert_eq!((to(&again, ANA).await, to(&again, BEN).await), (vec![new, kept], vec![kept]));
    beside
        .batch_execute(
            "DELETE FROM emails; CREATE TABLE left_over (n CHECK (n = 0));
             INSERT INTO left_over SELECT count(*) FROM addressees",
        )
        .expect("nothing is left over");
    assert_eq!(to(&again, ANA).await, []);
}
