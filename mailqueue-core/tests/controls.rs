//! Controls in memory, held to the suite of all, and those of the databases where somebody has edited rows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use mailqueue_core::contracts::controls::{
    Buckets, HistoryRetention, PauseRequest, TrafficCount, TrafficKey, TrafficOutcome, TrafficRange,
    WorkerReport, WorkerState,
};
use mailqueue_core::controls::MemoryControls;
use mailqueue_core::domain::pause_scope::PauseScope;
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Controls, Lane};
use mailqueue_testing::Postgres;
use tempfile::TempDir;

async fn open() -> (Arc<dyn Controls>, ()) {
    (Arc::new(MemoryControls::new()), ())
}

mailqueue_core::controls_conformance!(controls_in_memory, open());

const DAY: Duration = Duration::from_secs(24 * 3600);
const SENT: TrafficKey = TrafficKey { lane: Lane::Normal, outcome: TrafficOutcome::Sent, reason: None };

async fn postgres(url: &str) -> PostgresStore {
    let options = PostgresOptions { allow_unsafe: true, reserve: 0, ..PostgresOptions::default() };
    PostgresStore::open(&url.into(), &options).await.expect("it can be migrated")
}

async fn sqlite(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &SqliteOptions::default()).await.expect("it can be migrated")
}

/// A connection past the store.
fn beside(path: &Path) -> SqliteConnection {
    let mut beside = SqliteConnection::establish(&path.to_string_lossy()).expect("it can be opened twice");
    beside.batch_execute("PRAGMA busy_timeout = 5000").expect("a pragma");
    beside
}

fn sent(age: Duration) -> TrafficCount {
    TrafficCount { key: SENT, age, number: 1, wait: Buckets::default(), took: Buckets::default() }
}

async fn counted(controls: &dyn Controls) -> u64 {
    let range = TrafficRange { back: DAY * 5, step: DAY };
    let traffic = controls.traffic(&range).await.expect("counts can be read");
    assert!(traffic.steps.iter().all(|step| step.key == SENT), "{traffic:?}");
    traffic.steps.iter().map(|step| step.number).sum()
}

async fn keep_sound_rows(controls: &dyn Controls) {
    let pause = PauseRequest::new(PauseScope::Lane(Lane::Urgent), "ana");
    controls.pause(&pause).await.expect("a pause is kept");
    let report = WorkerReport {
        name: "sound".into(),
        version: "1".into(),
        running_for: DAY,
        concurrency: 1,
        in_flight: 0,
        state: WorkerState::Running,
        relays: Vec::new(),
    };
    controls.report_worker(&report).await.expect("a worker is kept");
    controls.add_traffic(&[sent(Duration::ZERO), sent(DAY * 3)]).await.expect("counts are kept");
}

/// The sound ones are used, and history is thinned out.
async fn expect_sound_rows(controls: &dyn Controls) {
    let pauses = controls.pauses().await.expect("the others are read");
    assert!(pauses.has_lane(Lane::Urgent) && !pauses.has_lane(Lane::Bulk), "{pauses:?}");
    let workers = controls.workers().await.expect("the others are read");
    assert_eq!(workers.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["sound"]);
    assert_eq!(counted(controls).await, 2);
    controls.prune_history(&HistoryRetention::default()).await.expect("the others are thinned out");
    assert_eq!(counted(controls).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_rows_of_controls_leave_the_others_on_postgres() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    let controls = postgres(&url).await;
    keep_sound_rows(&controls).await;
    server.query(
        &url,
        "INSERT INTO controls VALUES ('lane', 'Bulk', NULL, '', 'by hand', now());
         INSERT INTO workers VALUES ('spoilt', '1', now(), now(), 1, 0, 'dancing', '[]');
         INSERT INTO traffic VALUES
            (date_trunc('hour', now()) - interval '71 hours 59 minutes', 'Bulk', 'sent', '', 1, '{1}', '{1}')",
    );
    expect_sound_rows(&controls).await;
}

/// A pause without an end, as somebody may write it who knows Postgres.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_times_of_controls_are_read_as_no_end() {
    let (server, url) = (Postgres::shared(), Postgres::shared().database());
    let controls = postgres(&url).await;
    server.query(
        &url,
        "INSERT INTO controls VALUES ('lane', 'bulk', 'infinity', '', 'by hand', '-infinity'),
            ('lane', 'urgent', now() + interval '1 hour', '', 'by hand', now())",
    );
    let pauses = controls.pauses().await.expect("both are read");
    assert!(pauses.has_lane(Lane::Urgent) && pauses.has_lane(Lane::Bulk), "{pauses:?}");
    let ends = pauses.in_force.iter().map(|pause| pause.until.is_some()).collect::<Vec<_>>();
    assert_eq!(ends.iter().filter(|has_end| **has_end).count(), 1, "{pauses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_rows_of_controls_leave_the_others_on_sqlite() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("mail.db");
    let controls = sqlite(&path).await;
    keep_sound_rows(&controls).await;
    let mut beside = beside(&path);
    let old = "(unixepoch() / 3600 - 72) * 3600000000 + 60000000";
    beside
        .batch_execute(&format!(
            "INSERT INTO controls VALUES ('lane', 'Bulk', NULL, '', 'by hand', 0);
             INSERT INTO workers VALUES ('spoilt', '1', 0, 0, 1, 0, 'dancing', '[]');
             INSERT INTO traffic VALUES ({old}, 'Bulk', 'sent', '', 1, '[]', '[]'),
                ({old}, 'urgent', 'sent', '', 1, '[', '[]')"
        ))
        .expect("rows can be spoilt");
    expect_sound_rows(&controls).await;
    // Counts of the same minute as one that cannot be read, and of the next, are kept.
    beside.batch_execute("UPDATE traffic SET wait = '['").expect("rows can be spoilt");
    controls.add_traffic(&[sent(Duration::ZERO)]).await.expect("they are added");
    assert_eq!(counted(&controls).await, 1);
    // Kept for a version that can read them.
    let kept =
        "CREATE TABLE kept (n CHECK (n = 2)); INSERT INTO kept SELECT count(*) FROM traffic WHERE minute = ";
    beside.batch_execute(&format!("{kept} {old}")).expect("those that cannot be read are there");
}
