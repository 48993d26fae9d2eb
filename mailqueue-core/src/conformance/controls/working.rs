//! Workers that report themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::contracts::controls::{Controls, HistoryRetention, WorkerReport, WorkerState, Workers};
use crate::contracts::relay_health::{LastFault, RelayHealth, RelayPhase};
use crate::domain::report::RelayFault;

fn report(name: &str) -> WorkerReport {
    let relay = RelayHealth {
        name: "mail.example.com:25".to_owned(),
        phase: RelayPhase::Open,
        is_paused: true,
        in_use: 0,
        allowed: 4,
        last_fault: Some(LastFault { fault: RelayFault::Connect, code: None, age_s: 7 }),
    };
    WorkerReport {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        running_for: Duration::from_secs(90),
        concurrency: 32,
        in_flight: 3,
        state: WorkerState::Running,
        relays: vec![relay],
    }
}

async fn reported(controls: &Arc<dyn Controls>, report: &WorkerReport) {
    controls.report_worker(report).await.expect("a report is kept");
}

async fn workers(controls: &Arc<dyn Controls>) -> Workers {
    controls.workers().await.expect("workers can be read")
}

/// Lists workers by name, with everything they said and their times by the store's clock.
pub async fn lists_a_worker_as_it_reports(controls: Arc<dyn Controls>) {
    let before = workers(&controls).await;
    assert_eq!(before.rows, []);
    reported(&controls, &report("mail-2")).await;
    reported(&controls, &report("mail-1")).await;
    let listed = workers(&controls).await;
    let names: Vec<&str> = listed.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["mail-1", "mail-2"]);
    let (row, said) = (&listed.rows[0], report("mail-1"));
    assert_eq!((&row.version, row.concurrency, row.in_flight), (&said.version, 32, 3));
    assert_eq!((row.state, &row.relays), (WorkerState::Running, &said.relays));
    assert!(before.now <= row.seen_at && row.seen_at <= listed.now);
    assert_eq!(row.seen_at - row.started_at, time::Duration::seconds(90));
    assert!(!listed.has_lost(row));
}

/// Keeps one row for a name.
pub async fn replaces_a_report(controls: Arc<dyn Controls>) {
    reported(&controls, &report("mail-1")).await;
    let later = WorkerReport {
        in_flight: 0,
        state: WorkerState::Draining,
        running_for: Duration::from_secs(100),
        relays: Vec::new(),
        ..report("mail-1")
    };
    reported(&controls, &later).await;
    let listed = workers(&controls).await;
    assert_eq!(listed.rows.len(), 1);
    let row = &listed.rows[0];
    assert_eq!((row.in_flight, row.state, row.relays.len()), (0, WorkerState::Draining, 0));
    assert_eq!(row.seen_at - row.started_at, time::Duration::seconds(100));
}

/// Forgets a worker that has ended, and no other.
pub async fn forgets_who_signs_off(controls: Arc<dyn Controls>) {
    reported(&controls, &report("mail-1")).await;
    reported(&controls, &report("mail-2")).await;
    controls.sign_off("mail-1").await.expect("it is forgotten");
    controls.sign_off("nobody").await.expect("that is no error");
    let listed = workers(&controls).await;
    assert_eq!(listed.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["mail-2"]);
}

/// Drops a worker once it has not been seen for as long as is said.
pub async fn drops_who_is_not_seen(controls: Arc<dyn Controls>) {
    reported(&controls, &report("mail-1")).await;
    let retention = HistoryRetention::default();
    controls.prune_history(&retention).await.expect("it is pruned");
    assert_eq!(workers(&controls).await.rows.len(), 1);
    let none = HistoryRetention { workers: Duration::ZERO, ..retention };
    controls.prune_history(&none).await.expect("it is pruned");
    assert_eq!(workers(&controls).await.rows, []);
}
