//! The messages of a recipient are found whenever they were kept, and none is found that is gone.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Draft, Filter, MessageId, MessageStore, Outbox};
use mailqueue_testing::Postgres;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
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

/// A role of the host's that may write messages, and a restored dump, whose session has no path to our tables.
#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_kept_whoever_writes_and_from_where() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    let outbox = postgres(&url).await;
    let kept = submit(&outbox, BEN).await;
    let role = format!("writer_{}", url.rsplit('/').next().expect("it has a path"));
    server.query(
        &url,
        &format!(
            "CREATE TABLE old_emails AS TABLE emails; CREATE TABLE old_deliveries AS TABLE deliveries;
             CREATE TABLE old_addressees AS TABLE addressees;
             SET search_path = ''; DELETE FROM public.emails; CREATE ROLE {role};
             GRANT INSERT ON public.emails, public.deliveries TO {role};
             GRANT SELECT ON public.old_emails, public.old_deliveries TO {role}"
        ),
    );
    assert_eq!(server.query(&url, "SELECT count(*)::text FROM addressees"), [[Some("0".to_owned())]]);
    // A table of the session's own is not ours, whatever its name.
    let write = "CREATE TEMP TABLE addressees (address text, email_id uuid);
        INSERT INTO public.emails SELECT * FROM public.old_emails;
        INSERT INTO public.deliveries SELECT * FROM public.old_deliveries";
    server.query(&url, &format!("SET ROLE {role}; SET search_path = ''; {write}"));
    assert_eq!(to(&outbox, BEN).await, [kept]);
    let restore =
        "DELETE FROM public.emails; INSERT INTO public.addressees SELECT * FROM public.old_addressees";
    server.query(&url, &format!("SET search_path = ''; {restore}; {write}"));
    assert_eq!((to(&outbox, ANA).await, to(&outbox, BEN).await), (vec![kept], vec![kept]));
}

/// Another's triggers do not write to the table of ours.
#[tokio::test(flavor = "multi_thread")]
async fn the_functions_of_recipients_are_for_nobody_else() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    postgres(&url).await;
    let may = "SELECT has_function_privilege('pg_monitor', p.oid, 'EXECUTE')::text FROM pg_proc p
        WHERE proname IN ('add_addressees', 'remove_addressees')";
    assert_eq!(server.query(&url, may), [[Some("false".to_owned())], [Some("false".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_table_of_the_name_of_recipients_is_no_table_of_ours() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    let name = url.rsplit('/').next().expect("it has a path");
    let foreign = "CREATE TABLE other.addressees (address text, email_id uuid)";
    server.query(
        &url,
        &format!("ALTER DATABASE {name} SET search_path = public, other; CREATE SCHEMA other; {foreign}"),
    );
    let outbox = postgres(&url).await;
    let kept = submit(&outbox, BEN).await;
    assert_eq!(to(&outbox, BEN).await, [kept]);

    let url = server.database();
    server.query(&url, "CREATE TABLE addressees (address text, email_id uuid)");
    let options = PostgresOptions { allow_unsafe: true, reserve: 0, ..PostgresOptions::default() };
    let refused = PostgresStore::open(&url.as_str().into(), &options).await.err().expect("it is in the way");
    assert!(refused.to_string().contains("\"addressees\" already exists"), "{refused}");
}

/// Somebody reads `emails` at first: the index is dropped once he has ended, and until then nobody waits for the steps before.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_recipients_is_dropped_once_a_reader_has_ended() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    drop(postgres(&url).await);
    let down = concat!(
        include_str!("../migrations/postgres/2026-11-25-000007_drop_recipient_index/down.sql"),
        include_str!("../migrations/postgres/2026-11-25-000006_find_by_recipient/down.sql"),
        "DELETE FROM mailqueue_migrations WHERE version >= '20261125000006'",
    );
    server.query(&url, down);
    let mut reader = AsyncPgConnection::establish(&url).await.expect("a session");
    reader.batch_execute("BEGIN; SELECT 1 FROM emails").await.expect("emails is read");
    let migrating = tokio::spawn({
        let url = url.clone();
        async move { postgres(&url).await }
    });
    let waits = "SELECT 1::text FROM pg_locks WHERE relation = 'emails'::regclass AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while server.query(&url, waits).is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await; // until it waits for the reader
    }
    let held = "SELECT mode FROM pg_locks WHERE relation = 'deliveries'::regclass AND mode LIKE '%Exclusive%'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(server.query(&url, held).is_empty(), "the steps before hold nothing");
    reader.batch_execute("COMMIT").await.expect("it ends");
    let outbox = migrating.await.expect("no panic");
    let index = "SELECT 1::text FROM pg_class WHERE relname = 'emails_by_recipient'";
    assert!(server.query(&url, index).is_empty());
    let kept = submit(&outbox, BEN).await;
    assert_eq!(to(&outbox, BEN).await, [kept]);
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

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_row_fails_no_page_by_sender_or_tag() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("mail.db");
    let outbox = sqlite(&path).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut draft = Draft::new("shop@example.com", ANA, "Order").text("It is on its way.");
        draft.tags = vec![("kind".into(), "order".into())];
        ids.push(outbox.submit(draft).await.expect("it is kept").id);
    }
    let mut beside = SqliteConnection::establish(&path.to_string_lossy()).expect("it can be opened twice");
    let spoil = |id: MessageId, columns: &str| {
        format!("UPDATE emails SET {columns} WHERE id = x'{}';", id.as_uuid().simple())
    };
    let spoilt = [
        spoil(ids[0], "people = '{\"from\":', tags = '[{'"),
        spoil(ids[1], "people = '[]', tags = '[\"kind\"]'"),
    ];
    beside.batch_execute("PRAGMA busy_timeout = 5000").expect("a pragma");
    beside.batch_execute(&spoilt.concat()).expect("rows can be spoilt");
    let by_sender = Filter { from: Some("shop@example.com".into()), ..Filter::default() };
    let by_tag = Filter { tag: Some(("kind".into(), None)), ..Filter::default() };
    let by_value = Filter { tag: Some(("kind".into(), Some("order".into()))), ..Filter::default() };
    for filter in [by_sender, by_tag, by_value] {
        let page = outbox.list(filter.clone()).await.expect("a page is read");
        assert_eq!(page.ids().collect::<Vec<_>>(), [ids[2]], "{filter:?}");
    }
}
