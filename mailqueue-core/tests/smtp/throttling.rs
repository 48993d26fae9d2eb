//! Relays that ask for patience, with somebody or with everybody.

use std::sync::Arc;

use mailqueue_core::contracts::transport::{Outgoing, Transport};
use mailqueue_core::domain::report::{RelayFault, Verdict};
use mailqueue_core::transport::smtp::Timeouts;
use mailqueue_testing::{Action, Event, Phase, eventually};
use tokio::task::JoinSet;

use crate::support::*;

fn from(sender: &str) -> Outgoing {
    Outgoing { sender: sender.into(), ..message() }
}

fn sender_throttled(event: &Event) -> Action {
    match (event.phase, event.local_part()) {
        (Phase::Mail, "busy") => Action::reply("450 4.7.1 too much mail from you"),
        _ => Action::Default,
    }
}

#[tokio::test]
async fn a_throttle_of_one_sender_does_not_concern_others() {
    for sink in [sink_with(sender_throttled).await, plodding(sender_throttled).await] {
        let transport = transport(&[&sink.url()]);
        for _ in 0..20 {
            let report = send(&transport, &from("busy@example.com")).await;
            assert!(report.relay == Some(sink.url()) && !report.dot_sent);
            assert_eq!(words(&send(&transport, &from("other@example.com")).await), ["accepted 250"]);
        }
        assert_eq!(sink.messages().len(), 20);
        assert_clean(&sink);
    }
}

#[tokio::test]
async fn the_next_mails_of_a_throttled_sender_are_spared_the_relay() {
    let sink = sink_with(sender_throttled).await;
    let transport = transport_with(&[&sink.url()], Timeouts::default());
    assert_eq!(words(&send(&transport, &from("busy@example.com")).await), ["deferred 450"]);
    for _ in 0..10 {
        let report = send(&transport, &from("busy@example.com")).await;
        assert_eq!(fault(&report), RelayFault::SenderLimited);
        let Verdict::Fault { reply, .. } = report.verdict else { unreachable!() };
        assert_eq!(reply.code, Some(450), "what the relay said");
    }
    assert_eq!(sink.record(|record| record.count(Phase::Mail)), 1);
    assert!(transport.ready().await > 1, "the relay is not left alone");
}

#[tokio::test]
async fn a_limited_sender_is_tried_with_one_message_and_let_through_again() {
    let sink = sink_with(sender_throttled).await;
    let transport = transport(&[&quick(&sink.url())]);
    assert_eq!(words(&send(&transport, &from("busy@example.com")).await), ["deferred 450"]);
    sink.clear_rules();
    eventually("the sender is tried again", async || {
        let report = send(&transport, &from("busy@example.com")).await;
        let answered = !matches!(report.verdict, Verdict::Fault { .. });
        assert!(!answered || words(&report) == ["accepted 250"]);
        answered
    })
    .await;
}

#[tokio::test]
async fn a_limited_sender_goes_to_the_next_relay() {
    let (first, second) = (sink_with(sender_throttled).await, mailqueue_testing::SmtpSink::start().await);
    let transport = transport_with(&[&first.url(), &second.url()], Timeouts::default());
    send(&transport, &from("busy@example.com")).await;
    let report = send(&transport, &from("busy@example.com")).await;
    assert_eq!((words(&report), report.relay), (vec!["accepted 250".to_owned()], Some(second.url())));
}

#[tokio::test]
async fn a_throttle_of_a_recipient_or_of_one_message_limits_nobody() {
    let rule = |event: &Event| match (event.phase, event.local_part()) {
        (Phase::Rcpt, "rui") => Action::reply("450 4.7.1 greylisted"),
        (Phase::Data, "eva") => Action::reply("451 4.7.1 later"),
        (Phase::Dot, "zoe") => Action::reply("450 4.7.26 later"),
        _ => Action::Default,
    };
    for sink in [sink_with(rule).await, plodding(rule).await] {
        let transport = transport(&[&sink.url()]);
        for (recipient, word) in [
            ("rui@example.com", "deferred 450"),
            ("eva@example.com", "deferred 451"),
            ("ana@example.com", "accepted 250"),
            ("zoe@example.com", "deferred 450"),
            ("rui@example.com", "deferred 450"),
            ("ana@example.com", "accepted 250"),
        ] {
            assert_eq!(words(&send(&transport, &to(&[recipient])).await), [word], "{recipient}");
        }
        assert_eq!(sink.connections(), 1);
    }
}

#[tokio::test]
async fn throttles_of_a_few_messages_in_a_row_limit_their_sender_alone() {
    let rule = |event: &Event| match (event.phase, event.sender.as_str()) {
        (Phase::Dot, "busy@example.com") => Action::reply("450 4.7.1 later"),
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    let transport = transport_with(&[&sink.url()], Timeouts::default());
    for _ in 0..3 {
        assert_eq!(words(&send(&transport, &from("busy@example.com")).await), ["deferred 450"]);
    }
    assert_eq!(fault(&send(&transport, &from("busy@example.com")).await), RelayFault::SenderLimited);
    assert_eq!(words(&send(&transport, &from("other@example.com")).await), ["accepted 250"]);
}

#[tokio::test]
async fn pressure_late_in_a_message_lowers_how_many_are_sent_at_once() {
    for (phase, reply) in [
        (Phase::Dot, "432 4.3.2 concurrent connections limit exceeded"),
        (Phase::Dot, "454 Throttling failure: maximum sending rate exceeded"),
        (Phase::Data, "454 Throttling failure: maximum sending rate exceeded"),
        (Phase::Rcpt, "454 Throttling failure: maximum sending rate exceeded"),
        (Phase::Mail, "454 Throttling failure: maximum sending rate exceeded"),
    ] {
        let sink = sink_with(at(phase, Action::reply(reply).held())).await;
        let transport = Arc::new(transport(&[&format!("{}?connections=16", sink.url())]));
        let mut sending = JoinSet::new();
        for _ in 0..16 {
            let transport = Arc::clone(&transport);
            sending.spawn(async move { send(&transport, &message()).await });
        }
        sink.wait_until(|record| record.held == 16).await;
        sink.release();
        for report in sending.join_all().await {
            match phase {
                Phase::Mail => assert_eq!(fault(&report), RelayFault::Throttled),
                _ => assert_eq!(words(&report), [format!("deferred {}", &reply[..3])]),
            }
        }
        sink.clear_rules();
        assert_eq!(transport.ready().await, 8, "half of them after {reply} at {phase:?}");
        assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    }
}

#[tokio::test]
async fn a_relay_that_presses_one_at_a_time_is_left_alone() {
    let sink = sink_with(at(Phase::Dot, Action::reply("432 4.3.2 later"))).await;
    let transport = transport_with(&[&sink.url()], Timeouts::default());
    for _ in 0..2 {
        assert_eq!(words(&send(&transport, &message()).await), ["deferred 432"]);
    }
    assert_eq!(fault(&send(&transport, &message()).await), RelayFault::BreakerOpen);
}
