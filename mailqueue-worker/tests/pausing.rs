//! Workers obey what an operator pauses, and report themselves.

mod system;

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::connect::{self, StoreOptions};
use mailqueue_core::contracts::controls::{
    PauseRequest, TrafficOutcome, TrafficRange, WorkerRow, WorkerState,
};
use mailqueue_core::domain::pause_scope::PauseScope;
use mailqueue_core::{Controls, Draft, Lane, MessageId, Status};
use mailqueue_testing::{Action, Event, Phase, SmtpSink, eventually};
use system::System;

async fn controls(system: &System) -> Arc<dyn Controls> {
    let options = StoreOptions { allow_unsafe: true, ..StoreOptions::default() };
    connect::database(&system.database.as_str().into(), options).await.expect("the database opens").controls
}

async fn pause(controls: &Arc<dyn Controls>, scope: PauseScope) {
    controls.pause(&PauseRequest::new(scope, "ana")).await.expect("a pause is kept");
}

async fn resume(controls: &Arc<dyn Controls>, scope: PauseScope) {
    assert!(controls.resume(&scope).await.expect("a resume is answered"));
}

async fn submit(system: &System, lane: Lane, subject: &str) -> MessageId {
    let draft = Draft::new("shop@example.com", "ana@example.org", subject).text("Hello.");
    system.outbox.submit(Draft { lane, ..draft }).await.expect("accepted").id
}

async fn rows(controls: &Arc<dyn Controls>) -> Vec<WorkerRow> {
    controls.workers().await.expect("workers can be read").rows
}

async fn has_state(controls: &Arc<dyn Controls>, state: WorkerState) {
    eventually("the workers say so", async || {
        let rows = rows(controls).await;
        !rows.is_empty() && rows.iter().all(|row| row.state == state)
    })
    .await;
}

/// True while it waits as it was submitted.
async fn is_untouched(system: &System, id: MessageId) -> bool {
    let delivery = system.record(id).await.delivery;
    (delivery.status, delivery.attempt, delivery.attempts.len()) == (Status::Queued, 0, 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_lane_waits_in_every_worker_and_through_a_restart() {
    let system = System::start().await;
    let controls = controls(&system).await;
    pause(&controls, PauseScope::Lane(Lane::Bulk)).await;
    let workers = [system.worker(&[]), system.worker(&[])];
    eventually("both have come", async || rows(&controls).await.len() == 2).await;
    let waits = submit(&system, Lane::Bulk, "waits").await;
    let goes: Vec<MessageId> =
        [submit(&system, Lane::Normal, "goes").await, submit(&system, Lane::Urgent, "goes").await].into();
    system.finished(&goes).await;
    workers.into_iter().for_each(system::WorkerProcess::kill);
    let _worker = system.worker(&[]);
    system.finished(&[submit(&system, Lane::Normal, "after it").await]).await;
    assert!(is_untouched(&system, waits).await);
    resume(&controls, PauseScope::Lane(Lane::Bulk)).await;
    let record = system.finished(&[waits]).await.remove(0);
    assert_eq!((record.delivery.status, record.delivery.attempt), (Status::Sent, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_everything_lets_what_is_under_way_finish() {
    let system = System::start().await;
    let controls = controls(&system).await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Dot => Action::Default.held(),
        _ => Action::Default,
    });
    let _worker = system.worker(&[]);
    let first = submit(&system, Lane::Normal, "under way").await;
    system.sink.wait_until(|record| record.count(Phase::Dot) == 1).await;
    pause(&controls, PauseScope::Everything).await;
    has_state(&controls, WorkerState::Paused).await;
    assert_eq!(rows(&controls).await[0].in_flight, 1);
    let second = submit(&system, Lane::Urgent, "waits").await;
    system.sink.set_rule(|_| Action::Default);
    system.sink.release();
    let record = system.finished(&[first]).await.remove(0);
    assert_eq!(record.delivery.status, Status::Sent);
    assert!(is_untouched(&system, second).await);
    resume(&controls, PauseScope::Everything).await;
    system.finished(&[second]).await;
    has_state(&controls, WorkerState::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_round_a_paused_relay_and_waits_when_all_are_paused() {
    let system = System::start().await;
    let (controls, other) = (controls(&system).await, SmtpSink::start().await);
    let name = |url: &str| PauseScope::relay(url.trim_start_matches("smtp://"));
    let [first, second] = [system.sink.url(), other.url()].map(|url| name(&url));
    pause(&controls, first.clone()).await;
    let _worker = system.worker(&[("SMTP_URL", &format!("{},{}", system.sink.url(), other.url()))]);
    system.finished(&[submit(&system, Lane::Normal, "to the other").await]).await;
    assert_eq!((system.sink.messages().len(), other.messages().len()), (0, 1));
    pause(&controls, second.clone()).await;
    has_state(&controls, WorkerState::Paused).await;
    let relays = rows(&controls).await.remove(0).relays;
    assert!(relays.len() == 2 && relays.iter().all(|relay| relay.is_paused), "{relays:?}");
    let waits = submit(&system, Lane::Normal, "waits").await;
    eventually("it is due", async || system.store.backlog(10).await.is_ok_and(|b| b.oldest_due.is_some()))
        .await;
    assert!(is_untouched(&system, waits).await);
    resume(&controls, first).await;
    let record = system.finished(&[waits]).await.remove(0);
    assert_eq!((record.delivery.attempt, record.delivery.attempts.len()), (1, 1));
    assert_eq!(system.sink.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_signs_off_and_leaves_its_counts() {
    let system = System::start().await;
    let controls = controls(&system).await;
    let worker = system.worker(&[("MAILQUEUE_WORKER_NAME", "mail-1"), ("MAILQUEUE_CONCURRENCY", "7")]);
    let ids = [submit(&system, Lane::Bulk, "one").await, submit(&system, Lane::Bulk, "two").await];
    system.finished(&ids).await;
    eventually("it has come", async || !rows(&controls).await.is_empty()).await;
    let row = rows(&controls).await.remove(0);
    assert_eq!((row.name.as_str(), row.concurrency, row.relays.len()), ("mail-1", 7, 1));
    worker.signal("TERM");
    let (status, log) = worker.ended().await;
    assert!(status.success(), "{log}");
    assert_eq!(rows(&controls).await, []);
    let range = TrafficRange { back: Duration::from_secs(600), step: Duration::from_secs(3600) };
    let steps = controls.traffic(&range).await.expect("counts can be read").steps;
    let sent: u64 = steps.iter().map(|step| step.number).sum();
    assert_eq!(sent, 2, "{steps:?}");
    for step in steps {
        assert_eq!((step.key.lane, step.key.outcome), (Lane::Bulk, TrafficOutcome::Sent));
        assert_eq!((step.wait.count(), step.took.count()), (step.number, step.number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_tables_of_controls_works_on() {
    let system = System::start().await;
    let worker = system.worker(&[("MAILQUEUE_MIGRATE", "false")]);
    worker.says("working").await;
    mailqueue_testing::Postgres::shared()
        .query(&system.database, "DROP TABLE controls; DROP TABLE workers; DROP TABLE traffic");
    let record = system.finished(&[submit(&system, Lane::Normal, "goes").await]).await.remove(0);
    assert_eq!(record.delivery.status, Status::Sent);
    worker.signal("TERM");
    let (status, log) = worker.ended().await;
    assert!(status.success(), "{log}");
}
