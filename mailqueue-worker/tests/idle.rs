//! What a worker with nothing to do asks of its database.

mod system;

use mailqueue_core::connect::{self, StoreOptions};
use mailqueue_core::contracts::controls::PauseRequest;
use mailqueue_core::domain::pause_scope::PauseScope;
use mailqueue_core::{Draft, Lane};
use mailqueue_testing::{Postgres, SmtpSink, eventually};
use system::System;

/// The sweeps that are watched.
const SWEEPS: u64 = 10;

const PROBES: &str =
    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE 'INSERT INTO store_probes%'";

/// Without the counts of the outbox in this process.
const STATEMENTS: &str =
    "SELECT query, calls FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '{}')
     AND query NOT LIKE '%AS waiting'";

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_asks_its_database_three_times_a_sweep_at_most() {
    let postgres = Postgres::with_settings(&[("shared_preload_libraries", "pg_stat_statements")]);
    let admin = postgres.url_for("postgres");
    postgres.query(&admin, "CREATE EXTENSION pg_stat_statements");
    let system = System::on(postgres.database(), SmtpSink::start().await).await;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let probes = || number(&postgres.query(&admin, PROBES)[0][0]);
    // A lane that is paused and holds mail is no reason to ask more.
    let options = StoreOptions { allow_unsafe: true, ..StoreOptions::default() };
    let database = connect::database(&system.database.as_str().into(), options).await.expect("it opens");
    let request = PauseRequest::new(PauseScope::Lane(Lane::Bulk), "ana");
    database.controls.pause(&request).await.expect("a pause is kept");
    let draft = Draft::new("shop@example.com", "ana@example.org", "Hello").text("Hello.");
    system.outbox.submit(Draft { lane: Lane::Bulk, ..draft }).await.expect("accepted");
    let _worker = system.worker(&[]);
    eventually("it has begun to sweep", async || probes() > 1).await;
    postgres.query(&admin, "SELECT pg_stat_statements_reset()");
    eventually("it has swept", async || probes() >= SWEEPS).await;
    let name = system.database.rsplit('/').next().expect("a URL has a path");
    let rows = postgres.query(&admin, &STATEMENTS.replace("{}", name));
    let asked: u64 = rows.iter().map(|row| number(&row[1])).sum();
    // One sweep may be under way, and a session may begin.
    assert!(asked <= 3 * (SWEEPS + 1) + 2, "{asked} statements in {SWEEPS} sweeps: {rows:#?}");
}
