//! What is tried once more in another way.

use std::time::Duration;

use mailqueue_core::domain::report::RelayFault;
use mailqueue_core::transport::smtp::Timeouts;
use mailqueue_testing::{Action, Event, Phase, SmtpSink};

use crate::support::*;

#[tokio::test]
async fn login_is_tried_where_plain_is_offered_and_not_to_be_had() {
    for reply in ["504 5.5.4 no such mechanism", "534 5.7.9 too weak", "334 "] {
        let rule = move |event: &Event| match event.phase {
            Phase::Auth if event.line.starts_with("AUTH PLAIN") => Action::reply(reply),
            _ => Action::Default,
        };
        let sink = SmtpSink::builder().offer("AUTH PLAIN LOGIN").rule(rule).start().await;
        let transport = transport(&[&sink.url_as("ana", "secret")]);
        assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"], "{reply}");
        let used = sink.messages()[0].credentials.clone().unwrap();
        assert_eq!((used.mechanism.as_str(), used.user.as_str()), ("LOGIN", "ana"), "{reply}");
    }
}

#[tokio::test]
async fn the_url_chooses_how_to_log_in() {
    for (chosen, mechanism) in [("plain", "PLAIN"), ("login", "LOGIN")] {
        let sink = SmtpSink::builder().offer("AUTH PLAIN LOGIN").start().await;
        let url = format!("{}?auth={chosen}", sink.url_as("ana", "secret"));
        assert_eq!(words(&send(&transport(&[&url]), &message()).await), ["accepted 250"]);
        assert_eq!(sink.messages()[0].credentials.clone().unwrap().mechanism, mechanism);
    }
    let sink = SmtpSink::builder()
        .offer("AUTH PLAIN LOGIN")
        .rule(at(Phase::Auth, Action::reply("504 5.5.4 no such mechanism")))
        .start()
        .await;
    let url = format!("{}?auth=plain", sink.url_as("ana", "secret"));
    assert_eq!(fault(&send(&transport(&[&url]), &message()).await), RelayFault::Auth);
    assert_eq!(sink.record(|record| record.count(Phase::Auth)), 1);
}

/// Takes two recipients in one transaction.
fn two_at_a_time(event: &Event) -> Action {
    match event.phase {
        Phase::Rcpt if event.recipients.len() >= 2 => Action::reply("452 4.5.3 too many recipients"),
        _ => Action::Default,
    }
}

#[tokio::test]
async fn recipients_that_are_too_many_go_in_further_transactions() {
    for sink in [sink_with(two_at_a_time).await, plodding(two_at_a_time).await] {
        let recipients: Vec<String> = (0..5).map(|n| format!("r{n}@example.com")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let gate = Counting::saying(true);
        let transport = transport(&[&sink.url()]);
        let report = mailqueue_core::Transport::send(&transport, &to(&recipients), &gate).await;
        assert_eq!(words(&report), ["accepted 250"; 5]);
        let taken: Vec<_> = sink.messages().into_iter().map(|message| message.recipients).collect();
        assert_eq!(taken.concat(), recipients, "each once");
        assert_eq!((gate.asked(), sink.connections()), (3, 1), "each dot through the gate");
        assert_clean(&sink);
    }
}

#[tokio::test]
async fn without_progress_recipients_wait() {
    let rule = |event: &Event| match (event.phase, event.local_part()) {
        (Phase::Rcpt, "ana") => Action::Default,
        (Phase::Rcpt, _) => Action::reply("452 4.5.3 too many recipients"),
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    let three = to(&["ana@example.com", "rui@example.com", "eva@example.com"]);
    let report = send(&transport(&[&sink.url()]), &three).await;
    assert_eq!(words(&report), ["accepted 250", "deferred 452", "deferred 452"]);
    assert_eq!(sink.record(|record| record.count(Phase::Rcpt)), 5, "once more, and no further");
}

#[tokio::test]
async fn pipelined_commands_that_get_lost_are_sent_one_by_one_from_then_on() {
    // What comes behind MAIL in one group is never answered, as behind a proxy that reads one line at a time.
    let rule = |event: &Event| match (event.phase, event.connection) {
        (Phase::Rcpt, 1) => Action::Hang,
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    let transport = transport_with(&[&sink.url()], Timeouts { group: SHORT, ..timeouts() });
    for _ in 0..3 {
        let sent = tokio::time::timeout(Duration::from_secs(20), send(&transport, &message())).await;
        assert_eq!(words(&sent.unwrap()), ["accepted 250"]);
    }
    assert_eq!((sink.connections(), sink.messages().len()), (2, 3));
    assert_clean(&sink);
}
