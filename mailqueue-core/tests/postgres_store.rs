//! The record on Postgres, held to the suite of every store and tried where only Postgres can fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use mailqueue_core::conformance::store::unreadable_rows::Spoil;
use mailqueue_core::contracts::store::{Inserted, LeaseTerms};
use mailqueue_core::health::{Health, HealthOptions, Unready};
use mailqueue_core::store::batched::Batched;
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::{Controls, Draft, MessageId, MessageStore, Outbox, StoreError, SubmitError};
use mailqueue_testing::{CutAt, Direction, Postgres, Proxy};
use secrecy::SecretString;
use tokio::sync::OnceCell;

/// The tests' servers do not wait for the disk.
fn lenient() -> PostgresOptions {
    PostgresOptions { allow_unsafe: true, ..PostgresOptions::default() }
}

/// A database with our tables, copied from one that was migrated once.
async fn migrated() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        let url = Postgres::shared().database();
        let options = PostgresOptions { reserve: 0, ..lenient() };
        let store = PostgresStore::open(&SecretString::from(url.as_str()), &options).await;
        drop(store.expect("an empty database can be migrated"));
        url
    });
    Postgres::shared().database_from(template.await)
}

async fn open(url: &str) -> PostgresStore {
    let options = PostgresOptions { migrate: false, reserve: 0, ..lenient() };
    PostgresStore::open(&SecretString::from(url), &options).await.expect("the database is up")
}

struct Database(String);

#[async_trait]
impl Spoil for Database {
    async fn write(&self, id: MessageId, column: &str, json: &str) {
        let sql = format!("UPDATE deliveries SET {column} = '{json}' WHERE email_id = '{id}'");
        Postgres::shared().query(&self.0, &sql);
    }
}

async fn plain() -> (Arc<dyn MessageStore>, Database) {
    let url = migrated().await;
    (Arc::new(open(&url).await), Database(url))
}

async fn batched() -> (Arc<dyn MessageStore>, Database) {
    let (store, database) = plain().await;
    (Arc::new(Batched::new(store)), database)
}

async fn controls() -> (Arc<dyn Controls>, Database) {
    let url = migrated().await;
    (Arc::new(open(&url).await), Database(url))
}

mailqueue_core::controls_conformance!(controls_on_postgres, controls());
mailqueue_core::message_store_conformance!(on_postgres, plain());
mailqueue_core::message_store_conformance!(on_postgres_in_batches, batched());
mailqueue_core::message_store_unreadable_rows!(unreadable_on_postgres, plain());
mailqueue_core::message_store_unreadable_rows!(unreadable_on_postgres_in_batches, batched());

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_migrate_one_empty_database() {
    let url = SecretString::from(Postgres::shared().database());
    let openings = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { PostgresStore::open(&url, &lenient()).await })
    });
    for opening in openings.collect::<Vec<_>>() {
        let store = opening.await.expect("no panic").expect("every one of them comes up");
        assert_eq!(store.backlog(10).await.expect("it works").queued, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_version_is_refused() {
    let url = Postgres::shared().database();
    let secret = SecretString::from(url.as_str());
    let unmigrated = PostgresOptions { migrate: false, ..lenient() };
    let missing = PostgresStore::open(&secret, &unmigrated).await.err().expect("the tables are missing");
    assert!(missing.to_string().contains("`migrate`"), "{missing}");
    drop(PostgresStore::open(&secret, &lenient()).await.expect("it can be migrated"));
    Postgres::shared().query(&url, "INSERT INTO mailqueue_migrations (version) VALUES ('99990101000000')");
    let newer = PostgresStore::open(&secret, &lenient()).await.err().expect("it is newer");
    assert!(newer.to_string().contains("99990101000000"), "{newer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_down_lead_back_to_nothing() {
    let url = migrated().await;
    for down in [
        include_str!("../migrations/postgres/2026-11-25-000007_drop_recipient_index/down.sql"),
        include_str!("../migrations/postgres/2026-11-25-000006_find_by_recipient/down.sql"),
        include_str!("../migrations/postgres/2026-11-25-000005_add_controls/down.sql"),
        include_str!("../migrations/postgres/2026-11-25-000004_keep_text_once/down.sql"),
        include_str!("../migrations/postgres/2026-11-25-000003_index_lists/down.sql"),
        include_str!("../migrations/postgres/2026-11-25-000002_reserve_space/down.sql"),
        include_str!("../migrations/postgres/2026-11-25-000001_probe_the_store/down.sql"),
        include_str!("../migrations/postgres/2026-11-24-000002_keep_reschedules/down.sql"),
        include_str!("../migrations/postgres/2026-11-24-000001_weigh_deliveries/down.sql"),
        include_str!("../migrations/postgres/2026-11-23-000001_create_emails/down.sql"),
    ] {
        Postgres::shared().query(&url, down);
    }
    let left = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
    let left = Postgres::shared().query(&url, left);
    assert_eq!(left, [[Some("mailqueue_migrations".to_owned())]]);
}

/// A role that owns its database and nothing else, as hosted databases give.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_privileges_is_enough() {
    let url = Postgres::shared().database();
    let name = url.rsplit('/').next().expect("it has a path");
    let sql = format!("CREATE ROLE plain_{name} LOGIN; ALTER DATABASE {name} OWNER TO plain_{name}");
    Postgres::shared().query(&url, &sql);
    let url = SecretString::from(url.replace("postgres@", &format!("plain_{name}@")));
    let store = PostgresStore::open(&url, &lenient()).await.expect("it may do all it has to");
    assert_eq!(store.backlog(10).await.expect("it works").queued, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_from_before_sizes_gets_its_size() {
    let url = migrated().await;
    let store: Arc<dyn MessageStore> = Arc::new(open(&url).await);
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(Arc::clone(&store), queue).await;
    outbox.submit(Draft::new("shop@example.com", "ana@example.org", "Before").text("x")).await.expect("kept");
    let weighed = store.backlog(10).await.expect("it works");
    assert!(weighed.octets > 0);
    let down = include_str!("../migrations/postgres/2026-11-24-000001_weigh_deliveries/down.sql");
    let forget = "DELETE FROM mailqueue_migrations WHERE version = '20261124000001'";
    Postgres::shared().query(&url, &format!("{down};{forget}"));
    let again = PostgresStore::open(&SecretString::from(url), &lenient()).await;
    let told = again.expect("it can be migrated").backlog(10).await.expect("it works");
    assert_eq!((told.queued, told.octets), (1, weighed.octets));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_is_used_again() {
    let mut postgres = Postgres::start();
    let store = PostgresStore::open(&postgres.database().into(), &lenient()).await;
    let store = store.expect("an empty database can be migrated");
    store.backlog(10).await.expect("it works");
    postgres.stop_fast();
    let error = store.backlog(10).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    postgres.start_again();
    store.backlog(10).await.expect("no error is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_answers_reads_is_not_ready() {
    let postgres = Postgres::start();
    let store = PostgresStore::open(&postgres.database().into(), &lenient()).await;
    let store: Arc<dyn MessageStore> = Arc::new(store.expect("it opens"));
    let health = Health::new(Arc::clone(&store), HealthOptions::default());
    let switch = |to: &str| {
        let url = postgres.url_for("postgres");
        postgres.query(&url, &format!("ALTER SYSTEM SET default_transaction_read_only = {to}"));
        postgres.query(&url, "SELECT pg_reload_conf()");
    };
    health.probe().await.expect("it takes writes");
    switch("on");
    while health.probe().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await; // until the server has read its settings
    }
    assert!(matches!(health.check().await, Err(Unready::Store(_))));
    store.backlog(10).await.expect("reads are answered");
    switch("off");
    while health.probe().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    health.check().await.expect("it is ready again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_space_is_known_to_other_processes() {
    let url = migrated().await;
    let (store, other) = (open(&url).await, open(&url).await);
    assert!(store.probe().await.expect("it takes writes").has_space);
    assert!(other.probe().await.expect("it takes writes").has_space);
    Postgres::shared().query(
        &url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER refusal BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let store: Arc<dyn MessageStore> = Arc::new(store);
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(Arc::clone(&store), queue).await;
    let draft = Draft::new("shop@example.com", "ana@example.org", "Order").text("Order.");
    for _ in 0..2 {
        let error = outbox.submit(draft.clone()).await.expect_err("there is no space");
        assert!(matches!(error, SubmitError::Store(StoreError::NoSpace(_))), "{error}");
    }
    for store in [&*store, &other] {
        assert!(!store.probe().await.expect("it takes writes").has_space);
    }
    Postgres::shared().query(&url, "DROP TRIGGER refusal ON emails");
    let until = Instant::now() + Duration::from_secs(30);
    while outbox.submit(draft.clone()).await.is_err() {
        assert!(Instant::now() < until, "it is tried again now and then");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for store in [&*store, &other] {
        assert!(store.probe().await.expect("it takes writes").has_space);
    }
}

/// A full disk, acted by triggers: no row is written while the reserve is there, and none inserted at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_is_given_up_for_results_and_kept_again_before_new_mail() {
    let url = migrated().await;
    let options = PostgresOptions { reserve: 1 << 20, ..lenient() };
    let store = PostgresStore::open(&SecretString::from(url.as_str()), &options).await.expect("it opens");
    let store: Arc<dyn MessageStore> = Arc::new(store);
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(Arc::clone(&store), queue).await;
    let draft = Draft::new("shop@example.com", "ana@example.org", "Order").text("Order.");
    let waiting = outbox.submit(draft.clone()).await.expect("it is kept").id;
    let postgres = Postgres::shared();
    let reserve = || {
        let size = postgres.query(&url, "SELECT pg_relation_size('space_reserve')::text").remove(0).remove(0);
        size.expect("a size").parse::<u64>().expect("a number")
    };
    assert!(reserve() >= 1 << 20);
    postgres.query(
        &url,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF TG_OP = 'INSERT' OR pg_relation_size('space_reserve') > 0 THEN
                RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER full_emails BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION full_disk();
        CREATE TRIGGER full_reserve BEFORE INSERT ON space_reserve FOR EACH ROW EXECUTE FUNCTION full_disk();
        CREATE TRIGGER full_deliveries BEFORE UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION full_disk()",
    );
    let token = uuid::Uuid::from_u128(fastrand::u128(..));
    let terms = LeaseTerms {
        owner: "worker".into(),
        token,
        duration: Duration::from_secs(60),
        largest: u64::MAX,
        dot_up_to: None,
    };
    let claims = store.claim(&[waiting], &terms).await.expect("there is space for it");
    assert_eq!(claims.leased.len(), 1);
    assert_eq!(reserve(), 0, "it was given up");
    let error = outbox.submit(draft.clone()).await.expect_err("what is left is for results");
    assert!(matches!(error, SubmitError::Store(StoreError::NoSpace(_))), "{error}");
    postgres.query(&url, "DROP FUNCTION full_disk() CASCADE");
    let until = Instant::now() + Duration::from_secs(30);
    while outbox.submit(draft.clone()).await.is_err() {
        assert!(Instant::now() < until, "it is looked at again now and then");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(reserve() >= 1 << 20, "it is kept again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_keeps_nobody_for_ever() {
    let mut postgres = Postgres::start();
    let options = PostgresOptions { statement_timeout: Duration::from_millis(500), ..lenient() };
    let store = PostgresStore::open(&postgres.database().into(), &options).await.expect("it opens");
    store.backlog(10).await.expect("it works");
    postgres.freeze();
    let error = store.backlog(10).await.expect_err("it cannot answer");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    postgres.thaw();
    store.backlog(10).await.expect("it works again");
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_that_hang_leave_connections_for_results() {
    let url = migrated().await;
    let store: Arc<dyn MessageStore> = Arc::new(open(&url).await);
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(Arc::clone(&store), queue).await;
    let mut host = AsyncPgConnection::establish(&url).await.expect("a connection of the host's own");
    host.batch_execute("BEGIN; LOCK TABLE emails").await.expect("it is free");
    let mut hanging = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let outbox = outbox.clone();
        let draft = Draft::new("shop@example.com", "ana@example.org", "Order").text("Order.");
        hanging.spawn(async move { outbox.submit(draft).await });
    }
    let first = hanging.join_next().await.expect("there are twenty").expect("it ends");
    assert!(matches!(first, Err(SubmitError::Store(StoreError::Overloaded(_)))), "{first:?}");
    store.probe().await.expect("a connection is left, though nothing can be inserted");
    host.batch_execute("COMMIT").await.expect("it holds the lock");
    let results = hanging.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4, "half of the connections");
    outbox
        .submit(Draft::new("shop@example.com", "ana@example.org", "Order").text("Order."))
        .await
        .expect("it works again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_commit_answer_is_never_taken_for_a_yes() {
    let postgres = Postgres::shared();
    let url = migrated().await;
    let proxy = Proxy::start(postgres.address()).await;
    let store = open(&proxy.url(&url)).await;
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(Arc::new(store), queue).await;
    let draft =
        Draft::new("shop@example.com", "ana@example.org", "Once").text("Once.").idempotency_key("once");
    proxy.cut_on(Direction::FromTarget, b"COMMIT\0", CutAt::Before);
    let error = outbox.submit(draft.clone()).await.expect_err("the answer to the commit was lost");
    assert!(matches!(error, SubmitError::Store(StoreError::Unavailable(_))), "{error}");
    proxy.disarm();
    outbox.submit(draft).await.expect("it can be submitted again");
    assert_eq!(postgres.query(&url, "SELECT count(*)::text FROM emails"), [[Some("1".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_stands_and_falls_with_the_hosts_transaction() {
    let url = migrated().await;
    let store: Arc<dyn MessageStore> = Arc::new(open(&url).await);
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(store, queue).await;
    let mut host = AsyncPgConnection::establish(&url).await.expect("a connection of the host's own");
    for keep in [false, true] {
        let draft = Draft::new("shop@example.com", "ana@example.org", "Order").text("Order.");
        let submission = outbox.prepare(&[draft], "order".parse().ok()).expect("it is right");
        let id = submission.ids()[0];
        let result: Result<(), diesel::result::Error> = host
            .transaction(async move |connection| {
                let inserted = PostgresStore::insert_within(connection, submission).await;
                assert_eq!(inserted.expect("it is kept"), Inserted::Stored);
                if keep { Ok(()) } else { Err(diesel::result::Error::RollbackTransaction) }
            })
            .await;
        assert_eq!(result.is_ok(), keep);
        assert_eq!(outbox.get(id).await.expect("it answers").is_some(), keep);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_server_is_an_error_soon() {
    let postgres =
        Postgres::with_settings(&[("max_connections", "5"), ("superuser_reserved_connections", "0")]);
    let url = postgres.database();
    let options = PostgresOptions { reserve: 0, ..lenient() };
    let store = PostgresStore::open(&url.as_str().into(), &options).await.expect("it opens");
    let mut others = Vec::new();
    while let Ok(other) = AsyncPgConnection::establish(&url).await {
        others.push(other);
    }
    let error = store.backlog(10).await.expect_err("there is no connection left");
    assert!(matches!(error, StoreError::Unavailable(_) | StoreError::Overloaded(_)), "{error}");
    drop(others);
    store.backlog(10).await.expect("it works again");
}

/// A row that makes no sense, a value the server objects to: what is said of it names no address and no subject.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_repeats_what_a_message_says() {
    let (postgres, url) = (Postgres::shared(), migrated().await);
    let store: Arc<dyn MessageStore> = Arc::new(open(&url).await);
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(store, queue).await;
    let draft = Draft::new("shop@example.com", "ana@example.org", "A secret").text("It is between us.");
    for (table, column, value) in [
        ("deliveries", "recipients", r#"[{"address": "ana@", "status": "queued"}]"#),
        ("deliveries", "recipients", r#"[{"address": "ana@example.org", "status": "secret"}]"#),
        ("deliveries", "attempts", r#""a secret""#),
        ("emails", "people", r#"{"from": "ana", "to": "secret"}"#),
        ("emails", "headers", r#"[{"name": 7, "value": "secret"}]"#),
    ] {
        let id = outbox.submit(draft.clone()).await.expect("it is kept").id;
        postgres.query(&url, &format!("UPDATE {table} SET {column} = '{value}'"));
        let error = outbox.get(id).await.expect_err("it cannot be read");
        assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
        assert!(error.to_string().contains(column), "{error}");
        assert_discreet(&error);
    }
    let objection = "CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'what a subject: %', NEW.subject; END $$;
        CREATE TRIGGER objection BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION object()";
    postgres.query(&url, objection);
    let SubmitError::Store(error) = outbox.submit(draft).await.expect_err("it is objected to") else {
        panic!("the store said nothing");
    };
    assert_discreet(&error);
}

fn assert_discreet(error: &StoreError) {
    let text = format!("{error} {error:?}").to_lowercase();
    assert!(!text.contains("ana") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn no_error_repeats_the_url() {
    for url in [
        "postgres://mail:hunter2@127.0.0.1:1/mail",
        "postgres://mail:hunter2@127.0.0.1/mail?hunter2=hunter2",
        "postgres://mail:hunter2@127.0.0.1/mail?sslmode=hunter2",
        "postgres://mail:hunter2@[",
    ] {
        let error = PostgresStore::open(&url.into(), &lenient()).await.err().expect("it is wrong");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
