//! The commands of an operator, on a database alone.

mod system;

use std::process::{Command, Output};
use std::sync::Arc;

use mailqueue_core::connect;
use mailqueue_core::{Draft, MessageId, Outbox, Status};
use mailqueue_testing::{Action, Event, Phase};
use system::System;

fn run(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailqueue-worker"));
    command.env_clear().env("USER", "ana").envs(settings.iter().copied()).args(arguments);
    command.output().expect("the command runs")
}

/// Runs a command on a database, and gives its exit status, standard output and standard error.
fn told(database: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&[("DATABASE_URL", database)], arguments);
    let text = |octets| String::from_utf8(octets).expect("it says it in UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The standard output of a command that succeeds.
fn shown(database: &str, arguments: &[&str]) -> String {
    let (status, out, complaint) = told(database, arguments);
    assert_eq!(status, Some(0), "{arguments:?}: {complaint}");
    out
}

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).expect("a line is an object")
}

fn draft(to: &str, subject: &str) -> Draft {
    Draft::new("Shop <shop@example.com>", to, subject).text("Hello.")
}

async fn submit(outbox: &Outbox, draft: Draft) -> MessageId {
    outbox.submit(draft).await.expect("accepted").id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_found_read_and_tried_again() {
    let system = System::start().await;
    let database = system.database.as_str();
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Rcpt if event.line.contains("full@") => Action::reply("552 5.2.2 over quota"),
        _ => Action::Default,
    });
    let worker = system.worker(&[]);
    let refused = submit(&system.outbox, draft("full@example.org", "Your order")).await;
    let sent = submit(&system.outbox, draft("ana@example.org", "Your order")).await;
    system.finished(&[refused, sent]).await;
    let found = shown(database, &["list", "status:failed", "reason:mailbox_full", "to:full@example.org"]);
    assert!(found.contains(&refused.to_string()) && !found.contains(&sent.to_string()), "{found}");
    assert!(found.contains("mailbox_full") && found.contains("Your order"), "{found}");
    let page = shown(database, &["show", &refused.to_string()]);
    assert!(page.contains("552 5.2.2 over quota") && page.contains("failed"), "{page}");
    let object = json(&shown(database, &["show", &refused.to_string(), "--json"]));
    assert_eq!((&object["status"], &object["reason"]), (&"failed".into(), &"mailbox_full".into()));
    assert_eq!(object["attempts"][0]["reply"]["code"], 552);
    system.sink.set_rule(|_| Action::Default);
    let dry = shown(database, &["retry", "--where", "status:failed", "--dry-run"]);
    assert_eq!(dry, "1 would be changed, 0 left as they are\n");
    assert_eq!(system.record(refused).await.delivery.status, Status::Failed);
    let (status, out, told) = told(database, &["retry", &refused.to_string(), &sent.to_string()]);
    assert_eq!((status, out), (Some(3), format!("{refused} queued\n")), "{told}");
    assert!(told.contains("1 of 2 were changed"), "{told}");
    assert_eq!(system.finished(&[refused]).await[0].delivery.status, Status::Sent);
    assert_eq!(shown(database, &["audit"]), "2 messages, 0 faults\n");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_changes_what_it_finds_page_by_page() {
    let system = System::start().await;
    let database = system.database.as_str();
    let later = |n: usize| {
        let tag = ("campaign".to_owned(), (n % 2).to_string());
        let time = "in 2 hours".parse::<mailqueue_core::domain::schedule::Schedule>().expect("a time");
        Draft { tags: vec![tag], ..draft("ana@example.org", "News").at(time) }
    };
    for receipt in system.outbox.submit_many((0..1203).map(later).collect()).await {
        receipt.expect("accepted");
    }
    let (status, _, told) = told(database, &["cancel", "--where", ""]);
    assert_eq!(status, Some(2), "{told}");
    assert_eq!(
        shown(database, &["cancel", "--where", "tag:campaign=1"]),
        "601 changed, 0 left as they are\n"
    );
    assert_eq!(
        shown(database, &["list", "status:cancelled", "--json", "--limit", "2000"]).lines().count(),
        601
    );
    assert_eq!(
        shown(database, &["reschedule", "--at", "in 1 minute", "--where", "", "--yes"]),
        "602 changed, 601 left as they are\n"
    );
    let object = json(shown(database, &["status", "--json"]).trim());
    assert_eq!((&object["queued"], &object["sending"]), (&602.into(), &0.into()));
    let rows = shown(database, &["list", "after:1h", "--limit", "5"]);
    assert_eq!(rows.lines().count(), 6, "{rows}");
    assert_eq!(shown(database, &["list", "before:1h"]).lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_are_made_shown_and_ended() {
    let system = System::start().await;
    let database = system.database.as_str();
    let out = shown(database, &["pause", "--lane", "bulk", "--for", "1h", "--reason", "a campaign"]);
    assert!(out.starts_with("lane bulk is paused until 2"), "{out}");
    let object = json(&shown(database, &["pause", "--relay", "Mail.Example.com:25", "--json"]));
    assert_eq!((&object["name"], &object["by"]), (&"mail.example.com:25".into(), &"ana".into()));
    let page = shown(database, &["status"]);
    assert!(page.contains("a campaign") && page.contains("relay mail.example.com:25"), "{page}");
    let (status, out, advice) = told(database, &["resume", "--lane", "bulk"]);
    assert_eq!((status, out.as_str()), (Some(0), "lane bulk goes on\n"));
    assert!(advice.contains("relay mail.example.com:25 stays paused"), "{advice}");
    assert_eq!(told(database, &["resume"]).0, Some(1));
    assert_eq!(told(database, &["pause", "--lane", "slow"]).0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_what_is_being_sent() {
    let system = System::start().await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Dot => Action::Default.held(),
        _ => Action::Default,
    });
    let _worker = system.worker(&[]);
    let id = submit(&system.outbox, draft("ana@example.org", "under way")).await;
    system.sink.wait_until(|record| record.count(Phase::Dot) == 1).await;
    let database = system.database.clone();
    let (status, _, told) = told(&database, &["drain", "--timeout", "4s"]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("1 being sent after 4s"), "{told}");
    let drained = tokio::task::spawn_blocking(move || shown(&database, &["drain"]));
    system.sink.release();
    let out = drained.await.expect("no panic");
    assert_eq!(out, "nothing is being sent; `resume` goes on\n");
    assert_eq!(system.record(id).await.delivery.status, Status::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_an_exit_status_and_a_hint() {
    let system = System::start().await;
    let database = system.database.as_str();
    let (status, out, told_) = told(database, &["list", "stauts:failed"]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(told_.contains("did you mean `status:`?"), "{told_}");
    let unknown = "019ad5c0-0000-7000-8000-000000000000";
    assert_eq!(told(database, &["show", unknown]).0, Some(1));
    assert_eq!(told(database, &["cancel", unknown]).0, Some(1));
    assert_eq!(told(database, &["show", "42"]).0, Some(2));
    assert_eq!(told("postgres://127.0.0.1:1/mail", &["status"]).0, Some(69));
    assert_eq!(told("mysql://127.0.0.1/mail", &["status"]).0, Some(78));
    let report = told(&format!("{database}_missing"), &["doctor"]);
    assert!(report.1.contains("DATABASE_URL: "), "it names the setting: {report:?}");
    let report = told(database, &["doctor"]);
    assert_eq!(report.0, Some(1), "no worker has reported: {report:?}");
    assert!(report.1.contains("it takes writes") && report.1.contains("0 at work"), "{report:?}");
}

#[test]
fn settings_are_shown_without_secrets() {
    let settings = [
        ("DATABASE_URL", "postgres://mail:hunter2@db/mail"),
        ("SMTP_URL", "smtp://user:hunter2@mail.example.com"),
        ("MAILQUEUE_LEASE", "90s"),
    ];
    let output = run(&settings, &["--concurrency", "7", "config", "--json"]);
    let text = String::from_utf8(output.stdout).expect("it says it in UTF-8");
    assert!(output.status.success() && !text.contains("hunter2"), "{text}");
    let row = |name: &str| text.lines().map(json).find(|row| row["name"] == name).expect("it is listed");
    assert_eq!(
        (&row("SMTP_URL")["value"], &row("SMTP_URL")["source"]),
        (&"(hidden)".into(), &"environment".into())
    );
    assert_eq!(
        (&row("MAILQUEUE_LEASE")["value"], &row("MAILQUEUE_LEASE")["source"]),
        (&"90s".into(), &"environment".into())
    );
    assert_eq!(row("MAILQUEUE_CONCURRENCY")["source"], "command line");
    assert_eq!(
        (&row("MAILQUEUE_RETRY_FIRST")["value"], &row("MAILQUEUE_RETRY_FIRST")["source"]),
        (&"30s".into(), &"default".into())
    );
    assert_eq!(row("REDIS_URL")["source"], "not set");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_on_a_sqlite_file_that_a_process_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("mail.db").display());
    assert_eq!(told(&url, &["list"]).0, Some(69), "nothing is created");
    let store = connect::store(&url.as_str().into()).await.expect("the database opens");
    let outbox = Outbox::start(Arc::clone(&store), connect::queue(None).expect("one in process")).await;
    let id = submit(&outbox, draft("ana@example.org", "Olá")).await;
    assert!(shown(&url, &["list", "olá"]).contains(&id.to_string()));
    assert_eq!(shown(&url, &["cancel", &id.to_string()]), format!("{id} cancelled\n"));
    let record = outbox.get(id).await.expect("the store answers").expect("it is there");
    assert_eq!(record.delivery.status, Status::Cancelled);
    submit(&outbox, draft("ana@example.org", "and it goes on")).await;
}

#[test]
fn tables_are_brought_up_to_date_by_command_or_by_hand() {
    let postgres = mailqueue_testing::Postgres::shared();
    let [by_command, by_hand] = [postgres.database(), postgres.database()];
    let (status, steps, advice) = told(&by_command, &["migrate"]);
    assert_eq!(status, Some(1), "{advice}");
    let count = steps.lines().filter(|line| line.ends_with("missing")).count();
    assert!(count > 5 && advice.contains(&format!("{count} steps are missing")), "{steps}{advice}");
    assert_eq!(told(&by_command, &["status"]).0, Some(78), "no tables");
    assert_eq!(shown(&by_command, &["migrate", "up"]), format!("{count} steps have been run\n"));
    assert_eq!(shown(&by_command, &["migrate", "up"]), "0 steps have been run\n");
    postgres.query(&by_hand, &shown(&by_hand, &["migrate", "sql"]));
    for database in [by_command, by_hand] {
        let steps = shown(&database, &["migrate", "status"]);
        assert_eq!(steps.lines().filter(|line| line.ends_with("has run")).count(), count, "{steps}");
        assert!(shown(&database, &["status"]).contains("Nothing is paused."));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_replayed_once_however_often_it_is_asked_for() {
    let system = System::start().await;
    let database = system.database.as_str();
    let plain = draft("Ana <ana@example.org>", "Olá");
    let rich = Draft {
        html: Some("<p>Olá</p>".to_owned()),
        cc: vec!["rui@example.net".to_owned()],
        headers: vec![("X-Order".to_owned(), "42".to_owned())],
        tags: vec![("order".to_owned(), "42".to_owned())],
        lane: mailqueue_core::Lane::Bulk,
        ..draft("ana@example.org", "Order")
    };
    let rich = rich.attach("order.pdf", "application/pdf", [0_u8, 1, 255].repeat(1000));
    let [plain, rich] =
        [submit(&system.outbox, plain).await, submit(&system.outbox.for_tenant("shop"), rich).await];
    let export = shown(database, &["export"]);
    assert_eq!(export.lines().count(), 2, "{export}");
    assert_eq!(shown(database, &["export", "--where", "lane:bulk"]).lines().count(), 1);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), format!("{export}nonsense\n")).expect("it is written");
    let path = file.path().to_str().expect("it has a plain name");
    let (status, first, advice) = told(database, &["replay", path]);
    assert_eq!(status, Some(3), "{advice}");
    assert!(
        advice.contains("line 3") && advice.contains("2 messages are submitted, 0 had been before"),
        "{advice}"
    );
    let (_, second, advice) = told(database, &["replay", path]);
    assert!(advice.contains("0 messages are submitted, 2 had been before"), "{advice}");
    assert_eq!(first, second);
    for line in first.lines() {
        let (old, new) = line.split_once(' ').expect("old and new");
        let [old, new] = [old, new].map(|id| id.parse::<MessageId>().expect("an id"));
        let [old, new] = [system.record(old).await, system.record(new).await];
        assert_eq!((&old.summary, &old.tenant, old.lane), (&new.summary, &new.tenant, new.lane));
        assert_eq!((old.text, old.html), (new.text, new.html));
        assert!(old.id == plain || old.id == rich);
    }
    assert_eq!(system.store.backlog(10).await.expect("it answers").queued, 4);
}
