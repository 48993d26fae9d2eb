//! The record on SQLite, held to the suite of every store and tried where only SQLite can fail.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use mailqueue_core::conformance::store::unreadable_rows::Spoil;
use mailqueue_core::contracts::store::{
    Claimed, DueRange, Inserted, LeaseTerms, NewMessage, Renewal, Submission,
};
use mailqueue_core::domain::render::render;
use mailqueue_core::health::{Health, HealthOptions, Unready};
use mailqueue_core::store::batched::Batched;
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Controls, Draft, Filter, Lane, Limits, MessageId, MessageStore, StoreError};
use tempfile::TempDir;
use uuid::Uuid;

struct Folder(TempDir);

#[async_trait]
impl Spoil for Folder {
    async fn write(&self, id: MessageId, column: &str, json: &str) {
        let id = id.as_uuid().simple();
        let text = format!("UPDATE deliveries SET {column} = '{json}' WHERE hex(email_id) = upper('{id}')");
        beside(&file(&self.0)).batch_execute(&text).expect("a row can be spoilt");
    }
}

async fn plain() -> (Arc<dyn MessageStore>, Folder) {
    let folder = TempDir::new().expect("a folder");
    (Arc::new(open(&file(&folder)).await), Folder(folder))
}

async fn batched() -> (Arc<dyn MessageStore>, Folder) {
    let (store, folder) = plain().await;
    (Arc::new(Batched::new(store)), folder)
}

async fn controls() -> (Arc<dyn Controls>, Folder) {
    let folder = TempDir::new().expect("a folder");
    (Arc::new(open(&file(&folder)).await), Folder(folder))
}

mailqueue_core::controls_conformance!(controls_on_sqlite, controls());
mailqueue_core::message_store_conformance!(on_sqlite, plain());
mailqueue_core::message_store_conformance!(on_sqlite_in_batches, batched());
mailqueue_core::message_store_unreadable_rows!(unreadable_on_sqlite, plain());
mailqueue_core::message_store_unreadable_rows!(unreadable_on_sqlite_in_batches, batched());

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("mail.db")
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &SqliteOptions::default()).await.expect("the database can be opened")
}

/// A connection past the store, as another process would have it.
fn beside(path: &Path) -> SqliteConnection {
    let path = path.to_str().expect("a path in UTF-8");
    let mut connection = SqliteConnection::establish(path).expect("the database can be opened twice");
    connection.batch_execute("PRAGMA busy_timeout = 5000").expect("a pragma");
    connection
}

async fn message(store: &dyn MessageStore, subject: &str) -> NewMessage {
    let now = store.now().await.expect("the clock can be read");
    let draft = Draft::new("shop@example.com", "ana@example.org", subject).text("It is on its way.");
    let message = draft.check(&Limits::default(), now).expect("a valid draft");
    let id = MessageId::new(now);
    let raw = render(&message, id, now).expect("it can be rendered");
    NewMessage { id, tenant: String::new(), message, raw }
}

fn alone(message: NewMessage) -> Arc<Submission> {
    Arc::new(Submission { messages: vec![message], idempotency: None })
}

async fn submit(store: &dyn MessageStore, subject: &str) -> Result<MessageId, StoreError> {
    let message = message(store, subject).await;
    let id = message.id;
    assert_eq!(store.insert(vec![alone(message)]).await.remove(0)?, Inserted::Stored);
    Ok(id)
}

async fn claim(store: &dyn MessageStore, ids: &[MessageId]) -> Vec<Claimed> {
    let token = Uuid::from_u128(fastrand::u128(..));
    let duration = Duration::from_millis(1);
    let terms = LeaseTerms { owner: "worker".into(), token, duration, largest: u64::MAX, dot_up_to: None };
    store.claim(ids, &terms).await.expect("a claim is answered").leased
}

/// The variable that gives [`child`] its file.
const TOLD: &str = "MAILQUEUE_TEST_CHILD";

/// Not a test by itself: what this program does when a test has started it again as another process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(path) = std::env::var(TOLD) else { return };
    let store = match SqliteStore::open(&path, &SqliteOptions::default()).await {
        Ok(store) => store,
        Err(error) => return println!("not opened: {error}"),
    };
    loop {
        let id = submit(&store, "from a child").await.expect("it is kept");
        // One write: a line is told wholly or not at all.
        std::io::stdout().write_all(format!("kept {id}\n").as_bytes()).expect("the parent listens");
    }
}

fn start_child(path: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program's path"))
        .args(["--exact", "child", "--nocapture"])
        .env(TOLD, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("another process can be started")
}

/// Reads the ids a child says are kept, at least `count` of them, then kills it and reads on to the end.
fn ids_until_killed(mut child: Child, count: usize) -> Vec<MessageId> {
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let kept = |line: std::io::Result<String>| {
        let line = line.expect("its output is text");
        line.strip_prefix("kept ").map(|id| id.parse().expect("an id"))
    };
    let mut ids: Vec<MessageId> = lines.by_ref().filter_map(kept).take(count).collect();
    child.kill().expect("it is running");
    ids.extend(lines.filter_map(kept));
    child.wait().expect("it has ended");
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_while_the_first_has_the_file() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    let store = open(&path).await;
    let second = start_child(&path);
    let told = tokio::task::spawn_blocking(|| second.wait_with_output()).await.expect("no panic");
    let told = String::from_utf8(told.expect("it ends").stdout).expect("its output is text");
    assert!(told.contains("not opened: ") && told.contains("SQLite is for one process"), "{told}");
    submit(&store, "undisturbed").await.expect("it is kept");
    let error = SqliteStore::open(&path, &SqliteOptions::default()).await.expect_err("it is held");
    assert!(error.is_transient(), "the other may be about to end: {error}");
    drop(store);
    let third = start_child(&path);
    let ids = tokio::task::spawn_blocking(|| ids_until_killed(third, 1)).await.expect("the child came up");
    // However a process ends, the file is free then.
    let store = open(&path).await;
    assert!(store.get(None, ids[0]).await.expect("records can be read").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_space_is_kept_for_results() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    let store = open(&path).await;
    let waiting = submit(&store, "waiting").await.expect("it is kept");
    assert!(store.probe().await.expect("it takes writes").has_space);
    drop(store);
    let nothing_for_new_ones = SqliteOptions { keep_free: Some(u64::MAX), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, &nothing_for_new_ones).await.expect("it opens");
    let answer = submit(&store, "new").await;
    assert!(matches!(answer, Err(StoreError::NoSpace(_))), "{answer:?}");
    assert!(!store.probe().await.expect("it takes writes").has_space);
    let claimed = claim(&store, &[waiting]).await.remove(0);
    let renewal = Renewal { lease: claimed.lease, before_dot: true };
    assert_eq!(store.renew(vec![renewal], Duration::from_secs(60)).await.expect("an answer"), [true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_only_be_read_shows_in_a_probe() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    let store = open(&path).await;
    let health = Health::new(Arc::new(store), HealthOptions::default());
    health.check().await.expect("it is ready");
    let mut other = beside(&path);
    other.batch_execute("BEGIN IMMEDIATE").expect("the lock is free");
    let unready = loop {
        // A probe's answer holds for a moment.
        if let Err(unready) = health.check().await {
            break unready;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(matches!(unready, Unready::Late), "{unready:?}");
    other.batch_execute("COMMIT").expect("nothing was changed");
    health.check().await.expect("it is ready again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_was_answered_survives_a_kill() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    for _ in 0..3 {
        let child = start_child(&path);
        let ids =
            tokio::task::spawn_blocking(|| ids_until_killed(child, 25)).await.expect("the child came up");
        assert!(ids.len() >= 25, "it was killed at work");
        let store = open(&path).await;
        for id in ids {
            assert!(store.get(None, id).await.expect("records can be read").is_some(), "{id} is lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_before_the_commit() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    let store = Arc::new(open(&path).await);
    let mut other = beside(&path);
    other.batch_execute("BEGIN IMMEDIATE").expect("the lock is free");
    let submission = alone(message(&*store, "waiting").await);
    let id = submission.messages[0].id;
    let inserting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.insert(vec![submission]).await.remove(0) }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!inserting.is_finished(), "it cannot be on the disk yet");
    assert_eq!(store.get(None, id).await.expect("readers are not held up"), None);
    other.batch_execute("COMMIT").expect("nothing was changed");
    assert_eq!(inserting.await.expect("no panic").expect("it is kept"), Inserted::Stored);
    drop(store);
    assert!(
        open(&path).await.get(None, id).await.expect("records can be read").is_some(),
        "for the next as well"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_stays_locked_is_out_of_reach() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    let store = open(&path).await;
    let mut other = beside(&path);
    other.batch_execute("BEGIN IMMEDIATE").expect("the lock is free");
    let started = Instant::now();
    let answer = submit(&store, "too long").await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert!((4..15).contains(&started.elapsed().as_secs()), "after {:?}", started.elapsed());
    other.batch_execute("ROLLBACK").expect("nothing was changed");
    submit(&store, "again").await.expect("it mends by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_submissions_are_refused_at_once_but_no_results() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    let store = Arc::new(open(&path).await);
    let sending = submit(&*store, "sending").await.expect("it is kept");
    let claimed = claim(&*store, &[sending]).await.remove(0);
    let model = message(&*store, "one of many").await;
    let many: Vec<_> = (0..6000)
        .map(|_| alone(NewMessage { id: Uuid::from_u128(fastrand::u128(..)).into(), ..model.clone() }))
        .collect();

    let mut other = beside(&path);
    other.batch_execute("BEGIN IMMEDIATE").expect("the lock is free");
    let inserting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.insert(many).await }
    });
    let renewing = tokio::spawn({
        let store = Arc::clone(&store);
        let renewal = Renewal { lease: claimed.lease, before_dot: true };
        async move { store.renew(vec![renewal], Duration::from_secs(60)).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = submit(&*store, "one too many").await;
    assert!(matches!(answer, Err(StoreError::Overloaded(_))), "{answer:?}");
    other.batch_execute("COMMIT").expect("nothing was changed");

    let results = inserting.await.expect("no panic");
    let kept = results.iter().filter(|result| matches!(result, Ok(Inserted::Stored))).count();
    let refused = results.iter().filter(|result| matches!(result, Err(StoreError::Overloaded(_)))).count();
    assert_eq!(kept + refused, 6000);
    assert!((3500..=5000).contains(&kept), "{kept} were kept");
    assert_eq!(
        store.backlog(u64::MAX).await.expect("the backlog is counted").queued,
        kept as u64,
        "what was refused is not there"
    );
    assert_eq!(renewing.await.expect("no panic").expect("there was room for it"), [true]);
    submit(&*store, "afterwards").await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_from_before_sizes_gets_its_size() {
    let folder = TempDir::new().expect("a folder");
    let store = open(&file(&folder)).await;
    submit(&store, "Before").await.expect("it is kept");
    let weighed = store.backlog(10).await.expect("the backlog is counted");
    assert!(weighed.octets > 0);
    drop(store);
    let down = include_str!("../migrations/sqlite/2026-11-24-000001_weigh_deliveries/down.sql");
    let forget = "DELETE FROM mailqueue_migrations WHERE version = '20261124000001'";
    beside(&file(&folder)).batch_execute(&format!("{down};{forget}")).expect("it leads back");
    let told = open(&file(&folder)).await.backlog(10).await.expect("the backlog is counted");
    assert_eq!((told.queued, told.octets), (1, weighed.octets));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_versions_file_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    drop(open(&path).await);
    let newer = "INSERT INTO mailqueue_migrations (version) VALUES ('29990101000001')";
    beside(&path).batch_execute(newer).expect("the migrations can be written");
    for migrate in [true, false] {
        match SqliteStore::open(&path, &SqliteOptions { migrate, ..SqliteOptions::default() }).await {
            Err(StoreError::Refused(why)) => assert!(why.message().contains("29990101000001"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_migrated_when_that_is_off() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder);
    let options = SqliteOptions { migrate: false, ..SqliteOptions::default() };
    let refused = SqliteStore::open(&path, &options).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    let migrations = beside(&path).batch_execute("SELECT 1 FROM mailqueue_migrations");
    assert!(migrations.is_err(), "not even the table of migrations was made");
    drop(open(&path).await);
    SqliteStore::open(&path, &options).await.expect("a migrated database is fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, however long it may be ".repeat(200)).expect("a file");
    let missing = folder.path().join("missing").join("mail.db");
    for path in [text.as_path(), missing.as_path(), folder.path()] {
        let options = SqliteOptions::default();
        let error = SqliteStore::open(path, &options).await.expect_err("it is no database");
        assert!(matches!(error, StoreError::Refused(_) | StoreError::Unreadable(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_a_path_whatever_it_looks_like() {
    let folder = TempDir::new().expect("a folder");
    for name in [":memory:", "file:mail?mode=memory", "100%25.db"] {
        let path = folder.path().join(name);
        let id = submit(&open(&path).await, "kept").await.expect("it is kept");
        assert!(path.is_file(), "{name}");
        assert!(open(&path).await.get(None, id).await.expect("records can be read").is_some(), "{name}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_can_read_the_mail() {
    use std::os::unix::fs::PermissionsExt;
    let (_store, folder) = plain().await;
    for entry in std::fs::read_dir(folder.0.path()).expect("the folder is there") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its metadata").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_threads_end_with_the_store() {
    let folder = TempDir::new().expect("a folder");
    let store = open(&file(&folder)).await;
    submit(&store, "kept").await.expect("it is kept");
    let still_open = || {
        let files = std::fs::read_dir("/proc/self/fd").expect("Linux lists open files");
        let paths = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        paths.filter(|path| path.starts_with(folder.path())).count()
    };
    assert!(still_open() >= 3, "one connection for each thread");
    drop(store);
    let started = Instant::now();
    while still_open() > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "a connection is still open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_names_the_column_and_nobody() {
    let (store, folder) = plain().await;
    let id = submit(&*store, "bad").await.expect("it is kept");
    folder.write(id, "recipients", r#"[{"to":"ana@example.org"}]"#).await;
    let fault = store.get(None, id).await.expect_err("it cannot be read").to_string();
    assert!(fault.contains("recipients") && !fault.contains("ana"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn subjects_are_found_whatever_their_case_in_any_script() {
    let (store, _folder) = plain().await;
    let id = submit(&*store, "Atenção: ΑΘΗΝΑ").await.expect("it is kept");
    for subject in ["ATENÇÃO", "atenção", "αθηνα"] {
        let filter = Filter { subject: Some(subject.into()), ..Filter::default() };
        let page = store.list(&filter).await.expect("a page is read");
        assert_eq!(page.ids().collect::<Vec<_>>(), [id], "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let (store, _folder) = plain().await;
    let mut messages = Vec::new();
    for n in 0..50 {
        messages.push(message(&*store, &format!("number {n}")).await);
    }
    for message in &messages {
        let (one, two) = (
            message.clone(),
            NewMessage { id: Uuid::from_u128(fastrand::u128(..)).into(), ..message.clone() },
        );
        let both = Submission { messages: vec![one, two], idempotency: None };
        let inserting = store.insert(vec![Arc::new(both)]);
        drop(tokio::time::timeout(Duration::from_micros(fastrand::u64(0..400)), inserting).await);
    }
    let due = store
        .due(&[DueRange { lane: Lane::Normal, before: None, limit: 1000 }])
        .await
        .expect("what is due is told");
    let page = store.list(&Filter { limit: 1000, ..Filter::default() }).await.expect("a page is read");
    assert_eq!((due.len() % 2, page.records.len() % 2), (0, 0), "both of a submission or none");
}
