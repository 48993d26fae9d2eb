//! What a call costs does not grow with the number of messages that wait or are finished.

mod settlement;

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use mailqueue_core::contracts::store::{
    Cursor, DueRange, Inserted, LeaseTerms, NewMessage, Renewal, Retention, Submission,
};
use mailqueue_core::domain::render::render;
use mailqueue_core::domain::report::{Outcome, Reply, Report, Verdict};
use mailqueue_core::domain::transition::DeliveryPolicy;
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Draft, Filter, Lane, Limits, MessageId, MessageStore, Status};
use mailqueue_testing::{Postgres, eventually};
use secrecy::SecretString;
use settlement::settlement;
use tempfile::TempDir;
use uuid::Uuid;

const TO: &str = "rui@example.net";

/// Messages beside those of a test, half of them waiting and half of them sent; their ids are the newest.
const OTHERS: u64 = 24_000;

/// The others in Postgres.
fn fill_postgres() -> String {
    format!(
        "CREATE TEMP TABLE n AS SELECT n, ('ffffffff-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id
            FROM generate_series(1, {OTHERS}) n;
        INSERT INTO emails (id, tenant, subject, sender, people, headers, tags, attachments, smtputf8, raw)
        SELECT id, '', 'Hay ' || n, 's@example.com', '{{\"from\": \"s@example.com\", \"to\": [\"a@example.org\"]}}',
            '[]', '[]', '[]', false, 'x' FROM n;
        INSERT INTO deliveries (email_id, status, lane, due_at, due_since, recipients, finished_at, octets)
        SELECT id, CASE n % 2 WHEN 0 THEN 'queued' ELSE 'sent' END, 'normal', now(), now(),
            '[{{\"address\": \"a@example.org\", \"status\": \"queued\"}}]', CASE n % 2 WHEN 1 THEN now() END, 1 FROM n"
    )
}

/// The others in SQLite.
fn fill_sqlite() -> String {
    format!(
        "CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {OTHERS})
            SELECT n, unhex(printf('ffffffff00007000800%013d', n)) AS id FROM n;
        INSERT INTO emails (id, tenant, created_at, subject, sender, people, headers, tags, attachments, smtputf8, raw)
        SELECT id, '', 0, 'Hay ' || n, 's@example.com', '{{\"from\": \"s@example.com\", \"to\": [\"a@example.org\"]}}',
            '[]', '[]', '[]', 0, x'78' FROM n;
        INSERT INTO deliveries (email_id, status, lane, due_at, due_since, recipients, finished_at, octets)
        SELECT id, CASE n % 2 WHEN 0 THEN 'queued' ELSE 'sent' END, 'normal', 0, 0,
            '[{{\"address\": \"a@example.org\", \"status\": \"queued\"}}]', CASE n % 2 WHEN 1 THEN 0 END, 1 FROM n"
    )
}

async fn submit(store: &dyn MessageStore, subject: &str) -> MessageId {
    let now = store.now().await.expect("the clock can be read");
    let draft = Draft::new("shop@example.com", format!("Rui <{TO}>"), subject).text("It is on its way.");
    let message = draft.check(&Limits::default(), now).expect("a valid draft");
    let id = MessageId::new(now);
    let raw = render(&message, id, now).expect("it can be rendered");
    let messages = vec![NewMessage { id, tenant: String::new(), message, raw }];
    let mut results = store.insert(vec![Arc::new(Submission { messages, idempotency: None })]).await;
    assert_eq!(results.remove(0).expect("it is kept"), Inserted::Stored);
    id
}

async fn postgres(postgres: &Postgres) -> (PostgresStore, String) {
    let url = postgres.database();
    (reopened(&url).await, url)
}

async fn reopened(url: &str) -> PostgresStore {
    let options = PostgresOptions { allow_unsafe: true, reserve: 0, ..PostgresOptions::default() };
    PostgresStore::open(&SecretString::from(url), &options).await.expect("it can be migrated")
}

/// Follows the pages of a search to its end, and returns what it found and the number of pages.
async fn found(store: &dyn MessageStore, mut filter: Filter) -> (Vec<MessageId>, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.list(&filter).await.expect("a page is read");
        pages += 1;
        found.extend(page.ids());
        assert_eq!(page.has_more, page.next.is_some());
        let Some(next) = page.next else { return (found, pages) };
        filter.cursor = if filter.cursor.is_backwards() { Cursor::Before(next) } else { Cursor::After(next) };
    }
}

/// A search stops where it has looked at enough, says so, and goes on from there.
async fn searches_go_on(store: &dyn MessageStore, needles: &[MessageId]) {
    let newest_first: Vec<MessageId> = needles.iter().rev().copied().collect();
    let by_subject = Filter { subject: Some("NEEDLE".into()), ..Filter::default() };
    let pages = OTHERS as usize / Filter::SEARCHED + 1;
    assert_eq!(found(store, by_subject.clone()).await, (newest_first.clone(), pages));
    let from_the_first = Filter { cursor: Cursor::Before(needles[0]), ..by_subject.clone() };
    assert_eq!(found(store, from_the_first).await, (needles[1..].iter().rev().copied().collect(), pages));
    let combined = Filter { status: Some(Status::Queued), to: Some(TO.into()), ..by_subject };
    assert_eq!(found(store, combined).await.0, newest_first);
    let to = Filter { to: Some(TO.into()), limit: 1, ..Filter::default() };
    assert_eq!(found(store, to).await, (newest_first.clone(), 2), "an index finds each");
    let to_others = |filter: Filter| Filter { to: Some("a@example.org".into()), ..filter };
    let all = to_others(Filter { limit: 6000, ..Filter::default() });
    let (ids, pages) = found(store, all).await;
    assert_eq!((ids.len() as u64, pages), (OTHERS, 4));
    assert!(ids.is_sorted_by(|newer, older| newer > older));
    let of_nobody = to_others(Filter { tenant: Some("acme".into()), ..Filter::default() });
    assert_eq!(found(store, of_nobody).await, (vec![], OTHERS as usize / Filter::SEARCHED_OF_RECIPIENT + 1));
    let sent = Filter { status: Some(Status::Sent), limit: 5000, ..Filter::default() };
    assert_eq!(found(store, sent).await.0.len() as u64, OTHERS / 2);
    let failed = Filter { status: Some(Status::Failed), ..Filter::default() };
    assert_eq!(found(store, failed).await, (vec![], 1), "an index tells that there are none");
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_go_on_in_postgres() {
    let (store, url) = postgres(Postgres::shared()).await;
    let needles = [submit(&store, "A needle").await, submit(&store, "Another needle").await];
    Postgres::shared().query(&url, &fill_postgres());
    searches_go_on(&store, &needles).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_go_on_in_sqlite() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("mail.db");
    let store = SqliteStore::open(&path, &SqliteOptions::default()).await.expect("it opens");
    let needles = [submit(&store, "A needle").await, submit(&store, "Another needle").await];
    let mut beside = SqliteConnection::establish(&path.to_string_lossy()).expect("it can be opened twice");
    beside.batch_execute("PRAGMA busy_timeout = 5000").expect("a pragma");
    beside.batch_execute(&fill_sqlite()).expect("it is filled");
    searches_go_on(&store, &needles).await;
}

/// What a worker does for a message, from the question of what is due to its result, and what a sweep does.
async fn deliver_some(store: &dyn MessageStore) {
    let policy = DeliveryPolicy::default();
    let ten = DueRange { lane: Lane::Normal, before: None, limit: 10 };
    let due = store.due(&[ten]).await.expect("the due are told");
    let ids: Vec<MessageId> = due.into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 10);
    let token = Uuid::from_u128(fastrand::u128(..));
    let duration = Duration::from_secs(60);
    let terms = LeaseTerms { owner: "worker".into(), token, duration, largest: u64::MAX, dot_up_to: None };
    let leased = store.claim(&ids, &terms).await.expect("a claim is answered").leased;
    assert_eq!(leased.len(), 10);
    let renewals = leased.iter().map(|claimed| Renewal { lease: claimed.lease, before_dot: true }).collect();
    assert_eq!(store.renew(renewals, duration).await.expect("an answer"), [true; 10]);
    let settlements = leased.into_iter().map(|claimed| {
        let outcomes = claimed.delivery.recipients.iter().map(|recipient| {
            (recipient.address.clone(), Outcome::Accepted(Reply::new(Some(250), "2.0.0 taken")))
        });
        let verdict = Verdict::Answered(outcomes.collect());
        let report = Report { relay: None, dot_sent: true, verdict };
        settlement(&claimed, report, policy)
    });
    for settled in store.settle(settlements.collect()).await {
        settled.expect("it is written down");
    }
    let now = store.probe().await.expect("it takes writes").now;
    assert_eq!(store.reclaim(now, 100, &policy).await.expect("an answer"), []);
    store.prune(&Retention::default(), 100).await.expect("an answer");
    store.backlog(0).await.expect("an answer");
}

/// Lists that look at no more messages than they show.
async fn list_some(store: &dyn MessageStore, old: MessageId) {
    for filter in [
        Filter::default(),
        Filter { cursor: Cursor::After(old), ..Filter::default() },
        Filter { cursor: Cursor::Before(old), tenant: Some(String::new()), ..Filter::default() },
        Filter { status: Some(Status::Failed), ..Filter::default() },
        Filter { status: Some(Status::Sending), ..Filter::default() },
        Filter { to: Some("a@example.org".into()), ..Filter::default() },
        Filter { to: Some(TO.into()), cursor: Cursor::Before(old), ..Filter::default() },
    ] {
        store.list(&filter).await.expect("a page is read");
    }
}

/// Held to the number of rows that the server says it has read: far fewer than wait or are finished, however often each
/// statement was run and whether the server has counted its rows or not.
#[tokio::test(flavor = "multi_thread")]
async fn no_plan_reads_the_backlog() {
    let server = Postgres::with_settings(&[("autovacuum", "off")]);
    let (store, url) = postgres(&server).await;
    let old = submit(&store, "Old").await;
    server.query(&url, &fill_postgres());
    drop(store);
    for analyze in [false, true] {
        if analyze {
            server.query(&url, "ANALYZE");
        }
        let before = rows_read(&server, &url).await;
        let store = reopened(&url).await;
        // More often than the five times after which the server may plan a statement for any binds.
        for _ in 0..10 {
            deliver_some(&store).await;
            list_some(&store, old).await;
        }
        drop(store);
        let read = rows_read(&server, &url).await - before;
        assert!(
            read < OTHERS / 2,
            "{read} rows were read for 100 messages and 70 lists, analyzed: {analyze}"
        );
    }
}

/// The number of rows that all connections before have read by their end.
async fn rows_read(server: &Postgres, url: &str) -> u64 {
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    // A connection hands its counts on when it ends.
    eventually("the connections end", async || server.query(url, others)[0][0].as_deref() == Some("0")).await;
    let read = "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)
        + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)";
    server.query(url, read)[0][0].as_deref().expect("a sum").parse().expect("a number")
}
