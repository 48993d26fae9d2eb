//! Text and HTML are kept once, in the rendered message, and come out of either store as they went in.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use mailqueue_core::contracts::store::{Inserted, NewMessage, Submission};
use mailqueue_core::domain::render::render;
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Draft, Limits, MessageId, MessageStore};
use mailqueue_testing::Postgres;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use secrecy::SecretString;
use tempfile::TempDir;

fn body() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,40}",
        2 => ".{0,20}".prop_map(|text| text.replace('\0', "")),
        4 => prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", " \n", "\t\r\n"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["From ", ".", "..\n", "=", "=20", "=\n", "--", "\u{feff}"])
            .prop_map(str::to_owned),
        1 => (900..1100_usize).prop_map(|length| "x".repeat(length)),
        1 => (900..1100_usize).prop_map(|length| "é".repeat(length)),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    fn draft()(
        bodies in prop_oneof![
            body().prop_map(|text| (Some(text), None)),
            body().prop_map(|html| (None, Some(html))),
            (body(), body()).prop_map(|(text, html)| (Some(text), Some(html))),
        ],
        files in prop::collection::vec((prop::bool::ANY, "text/(plain|html)", body()), 0..3),
    ) -> Draft {
        let mut draft = Draft::new("Shop <shop@example.com>", "ana@example.org", "Your order");
        (draft.text, draft.html) = bodies;
        for (n, (is_inline, media, content)) in files.into_iter().enumerate() {
            draft = draft.attach(format!("file-{n}"), &media, content.into_bytes());
            draft.attachments[n].content_id = is_inline.then(|| format!("id-{n}"));
        }
        draft
    }
}

async fn insert(store: &dyn MessageStore, drafts: &[Draft]) -> Vec<MessageId> {
    let now = store.now().await.expect("the clock can be read");
    let new = |draft: &Draft| {
        let message = draft.check(&Limits::default(), now).expect("a valid draft");
        let id = MessageId::new(now);
        let raw = render(&message, id, now).expect("it can be rendered");
        let messages = vec![NewMessage { id, tenant: String::new(), message, raw }];
        Arc::new(Submission { messages, idempotency: None })
    };
    let submissions: Vec<_> = drafts.iter().map(new).collect();
    let ids = submissions.iter().map(|submission| submission.ids()[0]).collect();
    for inserted in store.insert(submissions).await {
        assert_eq!(inserted.expect("it is kept"), Inserted::Stored);
    }
    ids
}

/// Inserts batches of made-up drafts and reads them back.
fn read_back(store: &dyn MessageStore, runtime: &tokio::runtime::Runtime) {
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let read = TestRunner::new(config).run(&prop::collection::vec(draft(), 1..30), |drafts| {
        runtime.block_on(async {
            for (id, draft) in insert(store, &drafts).await.into_iter().zip(drafts) {
                let record = store.get(None, id).await.expect("it can be read").expect("it is there");
                assert_eq!((record.text, record.html), (draft.text, draft.html));
            }
        });
        Ok(())
    });
    read.expect("every text comes out as it went in");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

fn postgres(runtime: &tokio::runtime::Runtime) -> (PostgresStore, String) {
    let url = Postgres::shared().database();
    let options = PostgresOptions { allow_unsafe: true, reserve: 0, ..PostgresOptions::default() };
    let secret = SecretString::from(url.as_str());
    (runtime.block_on(PostgresStore::open(&secret, &options)).expect("it can be migrated"), url)
}

fn sqlite(runtime: &tokio::runtime::Runtime) -> (SqliteStore, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("mail.db");
    let store = runtime.block_on(SqliteStore::open(&path, &SqliteOptions::default()));
    (store.expect("the database can be opened"), folder)
}

#[test]
fn texts_come_out_of_postgres_as_they_went_in() {
    let runtime = runtime();
    let (store, url) = postgres(&runtime);
    read_back(&store, &runtime);
    let again = "SELECT count(*) FROM emails WHERE body_text IS NOT NULL OR body_html IS NOT NULL";
    assert_eq!(Postgres::shared().query(&url, again), [[Some("0".to_owned())]], "nothing is kept twice");
}

#[test]
fn texts_come_out_of_sqlite_as_they_went_in() {
    let runtime = runtime();
    let (store, _folder) = sqlite(&runtime);
    read_back(&store, &runtime);
}

/// The version before wrote text and HTML into columns of their own.
const AS_BEFORE: &str = "UPDATE emails SET body_text = 'as it was', body_html = NULL";

#[test]
fn rows_of_the_version_before_are_read_as_they_are() {
    let runtime = runtime();
    let (store, url) = postgres(&runtime);
    let draft = Draft::new("shop@example.com", "ana@example.org", "Before").text("once").html("<p>once</p>");
    let id = runtime.block_on(insert(&store, std::slice::from_ref(&draft))).remove(0);
    Postgres::shared().query(&url, AS_BEFORE);
    assert_is_as_it_was(&runtime, &store, id);

    let (store, folder) = sqlite(&runtime);
    let id = runtime.block_on(insert(&store, &[draft])).remove(0);
    drop(store);
    let path = folder.path().join("mail.db");
    let mut beside = SqliteConnection::establish(&path.to_string_lossy()).expect("it can be opened twice");
    beside.batch_execute("PRAGMA busy_timeout = 5000").expect("a pragma");
    beside.batch_execute(AS_BEFORE).expect("it is written");
    let store = runtime.block_on(SqliteStore::open(&path, &SqliteOptions::default())).expect("it opens");
    assert_is_as_it_was(&runtime, &store, id);
}

fn assert_is_as_it_was(runtime: &tokio::runtime::Runtime, store: &dyn MessageStore, id: MessageId) {
    let record = runtime.block_on(store.get(None, id)).expect("it can be read").expect("it is there");
    assert_eq!((record.text.as_deref(), record.html), (Some("as it was"), None));
    assert!(record.raw.is_some());
}
