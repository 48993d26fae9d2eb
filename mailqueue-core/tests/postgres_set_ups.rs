//! Postgres as people run it: behind a pooler, with other defaults, with few rights, moved to another machine.

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::{Draft, MessageStore, Outbox, StoreError, SubmitError};
use mailqueue_testing::{PgBouncer, Postgres, Proxy};
use secrecy::SecretString;
use tokio::sync::OnceCell;

/// The tests' servers do not wait for the disk.
fn lenient() -> PostgresOptions {
    PostgresOptions { allow_unsafe: true, ..PostgresOptions::default() }
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(&url.into(), &lenient()).await.expect("it opens")
}

async fn outbox(store: PostgresStore) -> Outbox {
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    Outbox::start(Arc::new(store), queue).await
}

fn draft() -> Draft {
    Draft::new("shop@example.com", "ana@example.org", "Order").text("Order.")
}

/// A database with our tables, copied from one that was migrated once, by way of a pooler.
async fn pooled() -> (Arc<dyn MessageStore>, ()) {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    static POOLER: OnceCell<PgBouncer> = OnceCell::const_new();
    let postgres = Postgres::shared();
    let template = TEMPLATE.get_or_init(|| async {
        let url = postgres.database();
        drop(open(&url).await);
        url
    });
    let url = postgres.database_from(template.await);
    let pooler = POOLER.get_or_init(|| async { PgBouncer::start(postgres) }).await;
    (Arc::new(open(&pooler.url(&url)).await), ())
}

mailqueue_core::message_store_conformance!(by_pgbouncer, pooled());

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_recognised_whether_it_refuses_options_or_drops_them() {
    let postgres = Postgres::start();
    let refusing = PgBouncer::start(&postgres);
    let dropping = PgBouncer::with_settings(&postgres, &[("ignore_startup_parameters", "options")]);
    for (pooler, query) in [(&refusing, ""), (&dropping, ""), (&dropping, "?prepare=false")] {
        let url = format!("{}{query}", pooler.url(&postgres.database()));
        let (one, other) = (outbox(open(&url).await).await, outbox(open(&url).await).await);
        for n in 0..20 {
            let draft = draft().idempotency_key(format!("order-{n}"));
            let (one, other) = tokio::join!(one.submit(draft.clone()), other.submit(draft));
            assert_eq!(one.expect("kept").id, other.expect("the same").id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_on_a_poolers_connections() {
    let postgres = Postgres::start();
    let pooler = PgBouncer::start(&postgres);
    let url = postgres.database();
    outbox(open(&pooler.url(&url)).await).await.submit(draft()).await.expect("it is kept");
    let left =
        "SELECT (SELECT count(*) FROM pg_prepared_statements) + current_setting('statement_timeout')::int";
    let sql = format!("{left} + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')");
    // Both of its connections are asked.
    for _ in 0..10 {
        assert_eq!(
            postgres.query(&pooler.url(&url), &format!("SELECT ({sql})::text")),
            [[Some("0".to_owned())]]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_behind_a_pooler_ends_in_time() {
    let postgres = Postgres::start();
    let pooler = PgBouncer::start(&postgres);
    let url = postgres.database();
    let options = PostgresOptions { statement_timeout: Duration::from_millis(300), ..lenient() };
    let store = PostgresStore::open(&pooler.url(&url).into(), &options).await.expect("it opens");
    let host = tokio_postgres_client(&url).await;
    host.batch_execute("BEGIN; LOCK TABLE deliveries").await.expect("it is free");
    let error = store.backlog(10).await.expect_err("the table is locked");
    assert!(matches!(error, StoreError::Overloaded(_)), "{error}");
    host.batch_execute("COMMIT").await.expect("it holds the lock");
    store.backlog(10).await.expect("it works again");
}

async fn tokio_postgres_client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("it is up");
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn other_defaults_of_a_database_do_not_matter() {
    let postgres = Postgres::start();
    let url = postgres.database();
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "jit = on",
        "max_parallel_workers_per_gather = 4",
        "\"TimeZone\" = 'Pacific/Chatham'",
        "\"DateStyle\" = 'German'",
        "\"IntervalStyle\" = 'sql_standard'",
        "bytea_output = 'escape'",
    ] {
        let name = url.rsplit('/').next().expect("it has a path");
        postgres.query(&postgres.url_for("postgres"), &format!("ALTER DATABASE {name} SET {setting}"));
    }
    let pooler = PgBouncer::start(&postgres);
    for (n, url) in [url.clone(), pooler.url(&url)].into_iter().enumerate() {
        let outbox = outbox(open(&url).await).await;
        if n == 0 {
            note_settings(&postgres, &url);
        }
        outbox.submit(draft()).await.expect("it is kept");
        outbox.submit(draft().idempotency_key("order")).await.expect("it is kept");
    }
    let seen = postgres.query(&url, "SET statement_timeout = 0; SELECT DISTINCT what FROM seen");
    assert_eq!(seen, [[Some("read committed, 15s, 15s, 0, off, 0, UTC".to_owned())]]);
}

/// Has every insert note under what settings it was done.
fn note_settings(postgres: &Postgres, url: &str) {
    postgres.query(
        url,
        "SET statement_timeout = 0;
        CREATE TABLE seen (what text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen SELECT concat_ws(', ', current_setting('transaction_isolation'),
                current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
                current_setting('lock_timeout'), current_setting('jit'),
                current_setting('max_parallel_workers_per_gather'), current_setting('TimeZone'));
            RETURN NULL; END $$;
        CREATE TRIGGER noting AFTER INSERT ON emails FOR EACH ROW EXECUTE FUNCTION note()",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_on_rows_are_enough_once_the_tables_are_there() {
    let postgres = Postgres::start();
    let url = postgres.database();
    drop(open(&url).await);
    postgres.query(
        &url,
        "CREATE ROLE clerk LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk",
    );
    let url = url.replace("postgres@", "clerk@");
    for migrate in [false, true] {
        let options = PostgresOptions { migrate, ..lenient() };
        let store = PostgresStore::open(&url.as_str().into(), &options).await.expect("nothing is missing");
        outbox(store).await.submit(draft()).await.expect("it is kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_on_another_server_is_found_again() {
    let (old, new) = (Postgres::start(), Postgres::start());
    let url = old.database();
    drop(open(&url).await);
    drop(open(&new.database()).await); // of the same name
    let proxy = Proxy::start(old.address()).await;
    let store = open(&proxy.url(&url)).await;
    // Several connections to the old one.
    futures_util::future::join_all((0..8).map(|_| store.backlog(10))).await;
    let outbox = outbox(store).await;
    outbox.submit(draft()).await.expect("it is kept");
    old.query(&old.url_for("postgres"), "ALTER SYSTEM SET default_transaction_read_only = on");
    old.query(&old.url_for("postgres"), "SELECT pg_reload_conf()");
    while old.query(&url, "SHOW default_transaction_read_only")[0][0].as_deref() != Some("on") {
        tokio::time::sleep(Duration::from_millis(10)).await; // until the server has read its settings
    }
    proxy.lead_to(new.address());
    let error = outbox.submit(draft()).await;
    assert!(matches!(error, Err(SubmitError::Store(StoreError::Unavailable(_)))), "{error:?}");
    for _ in 0..20 {
        outbox.submit(draft()).await.expect("every further one reaches the new server");
    }
    let kept = new.query(&new.url_for("test_1"), "SELECT count(*)::text FROM emails");
    assert_eq!(kept, [[Some("20".to_owned())]]);
}

/// A server that forgets what it has committed when the power fails is refused by name, unless that is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_lose_mail_is_refused_unless_that_is_allowed() {
    let postgres = Postgres::durable();
    let url = postgres.database();
    let secret = SecretString::from(url.as_str());
    drop(PostgresStore::open(&secret, &PostgresOptions::default()).await.expect("it keeps what it commits"));
    let name = url.rsplit('/').next().expect("it has a path");
    postgres.query(&url, &format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let refused =
        PostgresStore::open(&secret, &PostgresOptions::default()).await.err().expect("it is unsafe");
    let words = refused.to_string();
    assert!(matches!(refused, StoreError::Refused(_)), "{words}");
    assert!(words.contains("synchronous_commit") && words.contains("`allow_unsafe`"), "{words}");
    drop(PostgresStore::open(&secret, &lenient()).await.expect("it is allowed"));

    let quick = SecretString::from(Postgres::shared().database());
    let words = PostgresStore::open(&quick, &PostgresOptions::default()).await.err().expect("it is unsafe");
    assert!(words.to_string().contains("fsync and full_page_writes"), "{words}");
}

/// A deadlock while tables are brought up to date passes with time; a right that is missing does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_passes_is_no_refusal_of_a_migration() {
    let postgres = Postgres::start();
    let url = postgres.database();
    for (code, passes) in [("40P01", true), ("55P03", true), ("57P01", true), ("42501", false)] {
        postgres.query(
            &url,
            &format!(
                "CREATE OR REPLACE FUNCTION fail() RETURNS event_trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$;
                DROP EVENT TRIGGER IF EXISTS failing;
                CREATE EVENT TRIGGER failing ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
                    EXECUTE FUNCTION fail()"
            ),
        );
        let error = PostgresStore::open(&url.as_str().into(), &lenient()).await.err().expect("it fails");
        assert_eq!(error.is_transient(), passes, "{code}: {error}");
        assert_eq!(matches!(error, StoreError::Refused(_)), !passes, "{code}: {error}");
    }
    postgres.query(&url, "DROP EVENT TRIGGER failing");
    drop(open(&url).await);
}
