//! Log lines: what happened to a message, in words that programs can rely on.

mod system;

use std::path::Path;

use mailqueue_core::{Draft, Status};
use mailqueue_testing::{Action, Event, Phase, eventually};
use system::System;

fn draft(to: &str) -> Draft {
    Draft::new("shop@example.com", to, "Segredo").text("Recado")
}

/// The lines of a log that have all of these pieces.
fn lines<'l>(log: &'l str, pieces: &[&str]) -> Vec<&'l str> {
    log.lines().filter(|line| pieces.iter().all(|piece| line.contains(piece))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_told_with_the_domain_and_the_reason() {
    let system = System::start().await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Rcpt if event.address.starts_with("ana@") => Action::reply("550 5.1.3 no ana here"),
        _ => Action::Default,
    });
    let worker = system.worker(&[]);
    let drafts = vec![draft("ana@refused.example"), draft("bia@taken.example")];
    let ids: Vec<_> =
        system.outbox.submit_many(drafts).await.into_iter().map(|it| it.expect("taken").id).collect();
    let records = system.finished(&ids).await;
    assert_eq!(
        records.iter().map(|it| it.delivery.status).collect::<Vec<_>>(),
        [Status::Failed, Status::Sent]
    );
    for (id, pieces) in [
        (ids[0], ["refused", "domain=\"refused.example\"", "reason=\"invalid_recipient\""]),
        (ids[1], ["sent", "domain=\"taken.example\"", "reason=\"\""]),
    ] {
        let id = format!("message_id={id}");
        let line = || {
            let log = worker.log();
            lines(&log, &["event=\"attempt.finished\"", &id]).first().map(|line| (*line).to_owned())
        };
        eventually("the attempt is in the log", async || line().is_some()).await;
        let line = line().unwrap_or_default();
        assert!(pieces.iter().all(|piece| line.contains(piece)), "{line}");
    }
    let log = worker.log();
    for secret in ["ana", "bia", "Segredo", "Recado"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_away_is_one_warning_a_fault() {
    let system = System::start().await;
    system.sink.stop().await;
    let worker = system.worker(&[("MAILQUEUE_CONCURRENCY", "1")]);
    let id = system.outbox.submit(draft("ana@example.org")).await.expect("taken").id;
    let id = format!("message_id={id}");
    let told = || {
        let log = worker.log();
        let of = |pieces: &[&str]| lines(&log, pieces).len();
        (
            of(&["relay.fault", &id]),
            of(&[" WARN ", &id]),
            of(&["attempt.finished", "reason=\"connect\"", &id]),
        )
    };
    eventually("the fault is in the log", async || told().2 > 0).await;
    let (faults, warnings, _) = told();
    assert!(faults > 0 && warnings == faults, "{}", worker.log());
}

/// The calls of a source file that write a log line of any importance.
fn calls(source: &str) -> Vec<&str> {
    let starts = ["tracing::info!(", "tracing::warn!(", "tracing::error!(", "tracing::$level!("];
    starts.iter().flat_map(|start| source.split(start).skip(1)).collect()
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).expect("UTF-8"));
        }
    }
}

#[test]
fn every_line_names_its_event() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for member in ["mailqueue-core", "mailqueue-worker", "mailqueue-http"] {
        sources(&top.join(member).join("src"), &mut found);
    }
    let calls: Vec<&str> = found.iter().flat_map(|source| calls(source)).collect();
    assert!(calls.len() > 40, "{}", calls.len());
    for call in calls {
        let first = call.trim_start();
        assert!(
            first.starts_with("event = "),
            "the first field is the event: {}",
            first.lines().next().unwrap_or(first)
        );
    }
}
