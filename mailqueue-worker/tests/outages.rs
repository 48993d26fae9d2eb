//! Messages past their 250 while their results cannot be written down, for longer than a lease.

mod system;

use std::time::Duration;

use mailqueue_core::{Draft, MessageId, Status};
use mailqueue_testing::{Action, Phase, Postgres, SmtpSink, eventually};
use system::{System, WorkerProcess};

const COUNT: usize = 200;

/// How long the database stands still: longer than a lease. Nothing can be asked meanwhile that would tell its end.
const OUTAGE: Duration = Duration::from_secs(5);

/// Two workers, and messages that the server has taken without having said so.
async fn taken_without_an_answer(system: &System) -> ([WorkerProcess; 2], Vec<MessageId>) {
    system.sink.set_rule(|event| match event.phase {
        Phase::Dot => Action::Default.held(),
        _ => Action::Default,
    });
    let relay = format!("{}?connections={COUNT}", system.sink.url());
    let settings = [
        ("SMTP_URL", relay.as_str()),
        ("MAILQUEUE_CONCURRENCY", "200"),
        ("MAILQUEUE_LEASE", "3s"),
        ("MAILQUEUE_GRACE", "2s"),
    ];
    let workers = [system.worker(&settings), system.worker(&settings)];
    let draft = |n| Draft::new("shop@example.com", format!("user{n}@example.org"), "Order").text("Order.");
    let receipts = system.outbox.submit_many((0..COUNT).map(draft).collect()).await;
    let ids = receipts.into_iter().map(|receipt| receipt.expect("accepted").id).collect();
    system.sink.wait_for(COUNT).await;
    (workers, ids)
}

/// Every message is on record as sent, and arrived once.
async fn judge(system: &System, ids: &[MessageId]) {
    let records = system.finished(ids).await;
    assert!(records.iter().all(|record| record.delivery.status == Status::Sent));
    let arrived = system.sink.messages().len();
    assert_eq!(arrived, COUNT, "no result was lost, so nothing is sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_writes_makes_no_copies() {
    let postgres = Postgres::start();
    let system = System::on(postgres.database(), SmtpSink::start().await).await;
    let (_workers, ids) = taken_without_an_answer(&system).await;
    let switch = async |to: &str| {
        let url = postgres.url_for("postgres");
        postgres.query(&url, &format!("ALTER SYSTEM SET default_transaction_read_only = {to}"));
        postgres.query(&url, "SELECT pg_reload_conf()");
        // The server tells its processes after this, before it starts one that knows it.
        let setting = async || postgres.query(&url, "SHOW default_transaction_read_only");
        eventually("the setting is read", async || setting().await[0][0].as_deref() == Some(to)).await;
    };
    switch("on").await;
    system.sink.release();
    let expired = "SELECT count(*) FROM deliveries WHERE lease_until < now()";
    let all = Some(COUNT.to_string());
    eventually("every lease ran out", async || postgres.query(&system.database, expired)[0][0] == all).await;
    switch("off").await;
    judge(&system, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_makes_no_copies() {
    let mut postgres = Postgres::start();
    let system = System::on(postgres.database(), SmtpSink::start().await).await;
    let (_workers, ids) = taken_without_an_answer(&system).await;
    postgres.freeze();
    system.sink.release();
    tokio::time::sleep(OUTAGE).await;
    postgres.thaw();
    judge(&system, &ids).await;
}
