//! The main job, on Postgres, Redis, worker processes and an SMTP peer.

mod system;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use mailqueue_core::domain::attempt::AttemptOutcome;
use mailqueue_core::domain::recipient::RecipientStatus;
use mailqueue_core::{Draft, MessageId, Status};
use mailqueue_testing::{Action, Event, PgBouncer, Phase, Postgres, SmtpSink};
use system::System;

/// Messages of every shape: one recipient, five, html, an attachment, two seconds ahead.
fn mixed(n: usize, system: &System) -> Draft {
    let draft = Draft::new("Shop <shop@example.com>", format!("user{n}@example.org"), format!("Message {n}"));
    match n % 5 {
        0 => draft.text(format!("Plain {n}.\n.\nA line that begins with a dot stays one.\n")),
        1 => Draft {
            cc: vec![format!("cc{n}@example.org"), format!("Cê <cc2.{n}@example.net>")],
            bcc: vec![format!("hidden{n}@example.org"), format!("hidden2.{n}@example.net")],
            ..draft.text("For five.")
        },
        2 => draft.text("Text.").html("<p>Olá, <b>mundo</b> — ünïcödé</p>"),
        3 => draft.text("With a file.").attach("relatório.pdf", "application/pdf", vec![n as u8; 3000]),
        _ => draft.text("Later.").at(system.outbox.clock().now() + Duration::from_secs(2)),
    }
}

/// Submits messages; every seventh has an idempotency key and is submitted twice more.
async fn submit(system: &System, numbers: Range<usize>) -> Vec<MessageId> {
    let mut ids = Vec::with_capacity(numbers.len());
    for start in numbers.clone().step_by(100) {
        let keyed = |n: usize, draft: Draft| {
            if n.is_multiple_of(7) { draft.idempotency_key(format!("key-{n}")) } else { draft }
        };
        let drafts: Vec<Draft> =
            (start..numbers.end.min(start + 100)).map(|n| keyed(n, mixed(n, system))).collect();
        let repeats: Vec<Draft> =
            drafts.iter().filter(|draft| draft.idempotency_key.is_some()).cloned().collect();
        let receipts = system.outbox.submit_many(drafts).await;
        let accepted: Vec<MessageId> =
            receipts.into_iter().map(|receipt| receipt.expect("accepted").id).collect();
        for repeat in [repeats.clone(), repeats].concat() {
            let receipt = system.outbox.submit(repeat).await.expect("accepted again");
            assert!(receipt.replayed && accepted.contains(&receipt.id), "a repeat is the same message");
        }
        ids.extend(accepted);
    }
    ids
}

/// Every message arrived, as it was rendered, with exactly its recipients; how many arrived more than once.
async fn judge(system: &System, ids: &[MessageId]) -> usize {
    let records = system.finished(ids).await;
    let copies = system.copies();
    let mut repeated = 0;
    for record in records {
        let received = copies
            .get(&record.id.to_string())
            .unwrap_or_else(|| panic!("{} is lost: {:#?}", record.id, record.delivery));
        assert_eq!(record.delivery.status, Status::Sent);
        repeated += received.len() - 1;
        for copy in received {
            assert_eq!(Some(&copy.body[..]), record.raw.as_deref(), "byte-identical to what was rendered");
            let meant: BTreeSet<&str> =
                record.delivery.recipients.iter().map(|r| r.address.as_str()).collect();
            let named: BTreeSet<&str> = copy.recipients.iter().map(String::as_str).collect();
            assert_eq!(named, meant, "exactly the recipients that were meant");
            let text = copy.text();
            assert!(
                !text.contains("hidden") && !text.to_ascii_lowercase().contains("bcc:"),
                "Bcc is nowhere"
            );
        }
        let sent = record.delivery.attempts.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Sent);
        assert_eq!(sent.count(), 1, "the attempt is on record");
    }
    let known: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    assert!(copies.keys().all(|id| known.contains(id)), "nothing arrived that was not accepted");
    assert!(system.sink.record(|record| record.violations.is_empty()), "the protocol was kept");
    repeated
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_deliver_two_thousand_messages_once() {
    let system = System::start().await;
    let workers = [system.worker(&[]), system.worker(&[])];
    let ids = submit(&system, 0..2000).await;
    let repeated = judge(&system, &ids).await;
    assert_eq!(repeated, 0, "each exactly once");
    for worker in &workers {
        assert!(worker.log().contains(" sent "), "both took part");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_lost_queue_nor_a_killed_worker_loses_mail() {
    let mut system = System::start().await;
    let doomed = system.worker(&[]);
    let survivor = system.worker(&[]);
    let mut ids = submit(&system, 0..300).await;
    system.redis.flush();
    ids.extend(submit(&system, 300..600).await);
    system.sink.wait_for(200).await;
    doomed.kill();
    system.redis.stop();
    ids.extend(submit(&system, 600..900).await);
    system.redis.start_again();
    ids.extend(submit(&system, 900..1200).await);
    let records = system.finished(&ids).await;
    let ambiguous = records.iter().flat_map(|record| &record.delivery.attempts);
    let ambiguous = ambiguous.filter(|attempt| attempt.outcome == AttemptOutcome::LeaseLost).count();
    let repeated = judge(&system, &ids).await;
    assert!(repeated <= ambiguous, "{repeated} copies too many, {ambiguous} explained:\n{}", survivor.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_per_recipient_is_recorded_as_it_happened() {
    let system = System::start().await;
    system.sink.set_rule(|event: &Event| match (event.phase, event.local_part()) {
        (Phase::Rcpt, "slow") if event.times_seen <= 2 => Action::reply("451 4.2.1 come back later"),
        (Phase::Rcpt, "gone") => Action::reply("550 5.1.1 no such user"),
        _ => Action::Default,
    });
    let _worker = system.worker(&[]);
    let to = ["ana@example.org", "slow@example.org", "gone@example.org"].map(str::to_owned).to_vec();
    let draft = Draft { to, ..Draft::new("shop@example.com", "", "Three").text("For three.") };
    let id = system.outbox.submit(draft).await.expect("accepted").id;
    let record = system.finished(&[id]).await.remove(0);

    assert_eq!(record.delivery.status, Status::Sent);
    let statuses: Vec<_> = record.delivery.recipients.iter().map(|recipient| recipient.status).collect();
    assert_eq!(statuses, [RecipientStatus::Sent, RecipientStatus::Sent, RecipientStatus::Failed]);
    let codes: Vec<_> =
        record.delivery.recipients.iter().map(|r| r.reply.as_ref().and_then(|r| r.code)).collect();
    assert_eq!(codes, [Some(250), Some(250), Some(550)]);
    let outcomes: Vec<_> = record.delivery.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Partial, AttemptOutcome::Deferred, AttemptOutcome::Sent]);
    assert_eq!(record.delivery.attempt, 3);
    let envelopes: Vec<_> = system.sink.messages().into_iter().map(|received| received.recipients).collect();
    assert_eq!(envelopes, [["ana@example.org"], ["slow@example.org"]], "nobody got it twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_fault_uses_no_attempt() {
    let system = System::start().await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Connect => Action::ReplyThenClose("421 4.3.2 not now".to_owned()),
        _ => Action::Default,
    });
    let worker = system.worker(&[]);
    let ids = submit(&system, 0..5).await;
    let sink = &system.sink;
    // The breaker doubles its pause, so this is an outage of some ten seconds.
    sink.wait_until(|record| record.count(Phase::Connect) >= 6).await;
    sink.clear_rules();
    let records = system.finished(&ids).await;
    assert_eq!(judge(&system, &ids).await, 0);
    for record in &records {
        assert_eq!(record.delivery.attempt, 1, "only the attempt that could be made counts");
    }
    let faults = records.iter().flat_map(|record| &record.delivery.attempts);
    let faults: Vec<_> = faults.filter(|attempt| attempt.outcome == AttemptOutcome::RelayFault).collect();
    assert!(!faults.is_empty(), "the outage is on record:\n{}", worker.log());
    let codes: Vec<_> =
        faults.iter().map(|fault| fault.reply.as_ref().and_then(|reply| reply.code)).collect();
    assert!(codes.iter().all(|code| *code == Some(421)), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_keeps_no_mail() {
    let system = System::start().await;
    system.redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    system.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let _worker = system.worker(&[]);
    let ids = submit(&system, 0..200).await;
    assert_eq!(judge(&system, &ids).await, 0);
    let refused = system.redis.command(&["INFO", "errorstats"]);
    assert!(refused.contains("errorstat_OOM:count="), "Redis took no entry: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_everything_is_delivered_once() {
    let postgres = Postgres::shared();
    let pooler = PgBouncer::start(postgres);
    let system = System::on(pooler.url(&postgres.database()), SmtpSink::start().await).await;
    let _workers = [system.worker(&[]), system.worker(&[])];
    let ids = submit(&system, 0..600).await;
    assert_eq!(judge(&system, &ids).await, 0);
}
