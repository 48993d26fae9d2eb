//! Relays that are down, slow to come back, or one of several.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mailqueue_core::contracts::transport::Transport;
use mailqueue_core::domain::report::{RelayFault, Verdict};
use mailqueue_core::transport::smtp::{OpenError, SmtpTransport, Timeouts};
use mailqueue_testing::{Action, Event, Phase, SmtpSink, eventually};
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn a_relay_that_is_down_is_left_alone_and_found_again() {
    let sink = SmtpSink::start().await;
    sink.stop().await;
    let transport = transport(&[&sink.url()]);
    assert_eq!(fault(&send(&transport, &message()).await), RelayFault::Connect);
    let started = Instant::now();
    assert_eq!(fault(&send(&transport, &message()).await), RelayFault::BreakerOpen);
    assert!(started.elapsed() < Duration::from_millis(40), "the relay was tried");
    sink.start_again().await;
    transport.ready().await;
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_the_relays_fault() {
    let transport = transport(&["smtp://does-not-exist.invalid"]);
    assert_eq!(fault(&send(&transport, &message()).await), RelayFault::Dns);
}

#[tokio::test]
async fn three_broken_transactions_in_a_row_open_the_breaker() {
    let sink = sink_with(at(Phase::Data, Action::Close)).await;
    let transport = transport_with(&[&sink.url()], Timeouts { backoff_first: SHORT, ..timeouts() });
    for _ in 0..3 {
        assert_eq!(words(&send(&transport, &message()).await), ["deferred -"]);
    }
    assert_eq!(fault(&send(&transport, &message()).await), RelayFault::BreakerOpen);
}

#[tokio::test]
async fn recovery_starts_with_one_message() {
    let sink = SmtpSink::start().await;
    sink.stop().await;
    let transport = Arc::new(transport(&[&quick(&sink.url())]));
    send(&transport, &message()).await;
    sink.set_rule(at(Phase::Dot, Action::Default.held()));
    sink.start_again().await;
    transport.ready().await;
    let mut sending = JoinSet::new();
    for _ in 0..20 {
        let transport = Arc::clone(&transport);
        sending.spawn(async move { words(&send(&transport, &message()).await) });
    }
    // One probes; its success lets one in, and the success of that one two.
    for (open, taken) in [(1, 1), (1, 2), (2, 4)] {
        sink.wait_until(|record| record.held == open).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(sink.record(|record| (record.held, record.messages.len())), (open, taken));
        sink.release();
        sink.wait_until(|record| record.held == 0 || record.messages.len() > taken).await;
    }
    sink.clear_rules();
    sink.release();
    assert!(sending.join_all().await.iter().all(|words| words == &["accepted 250"]));
}

#[tokio::test]
async fn a_relay_that_limits_connections_is_not_stormed() {
    let rule = |event: &Event| match event.phase {
        Phase::Connect if event.open > 5 => Action::ReplyThenClose("421 4.7.0 too many connections".into()),
        Phase::Dot => Action::Default.delayed(Duration::from_millis(5)),
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    let transport = Arc::new(transport(&[&sink.url()]));
    let mut sending = JoinSet::new();
    for _ in 0..300 {
        let transport = Arc::clone(&transport);
        sending.spawn(async move {
            loop {
                let report = send(&transport, &message()).await;
                if !matches!(report.verdict, Verdict::Fault { .. }) {
                    return words(&report);
                }
                transport.ready().await;
            }
        });
    }
    assert!(sending.join_all().await.iter().all(|words| words == &["accepted 250"]));
    let refused = sink.connections() - 5;
    assert!(refused <= 40, "{refused} refused connections for 300 messages");
    assert_eq!(sink.messages().len(), 300);
}

#[tokio::test]
async fn the_next_relay_is_tried_only_while_nothing_was_sent() {
    let second = SmtpSink::start().await;
    for (phase, action, moves_on) in [
        (Phase::Connect, "554 5.7.1 no", true),
        (Phase::Ehlo, "421 4.3.2 no", true),
        (Phase::Mail, "421 4.3.2 no", true),
        (Phase::Data, "421 4.3.2 no", true),
        (Phase::Mail, "550 5.7.1 no", false),
        (Phase::Rcpt, "450 4.2.1 no", false),
        (Phase::Dot, "450 4.2.1 no", false),
        (Phase::Dot, "354 what", false),
    ] {
        let first = sink_with(at(phase, Action::reply(action))).await;
        let before = second.messages().len();
        let gate = Counting::saying(true);
        let report = transport(&[&first.url(), &second.url()]).send(&message(), &gate).await;
        assert_eq!(second.messages().len() - before, usize::from(moves_on), "{action} at {phase:?}");
        let relay = if moves_on { second.url() } else { first.url() };
        assert_eq!(report.relay, Some(relay));
        assert!(gate.asked() <= 1);
    }
}

#[tokio::test]
async fn with_all_relays_down_the_report_names_one_that_was_tried() {
    let (first, second) = (SmtpSink::start().await, SmtpSink::start().await);
    first.stop().await;
    second.stop().await;
    let transport = transport(&[&first.url(), &second.url()]);
    for expected in [RelayFault::Connect, RelayFault::BreakerOpen] {
        let report = send(&transport, &message()).await;
        assert_eq!(fault(&report), expected);
        assert!(report.relay == Some(first.url()) || report.relay == Some(second.url()));
    }
    second.start_again().await;
    transport.ready().await;
    // Either of the two may be the one whose rest is over.
    eventually("the second relay is found again", async || {
        let report = send(&transport, &message()).await;
        let answered = !matches!(report.verdict, Verdict::Fault { .. });
        let expected = (vec!["accepted 250".to_owned()], Some(second.url()));
        assert!(!answered || (words(&report), report.relay) == expected);
        answered
    })
    .await;
}

#[tokio::test]
async fn without_a_relay_there_is_no_transport() {
    assert!(matches!(SmtpTransport::open(Vec::new(), Timeouts::default()), Err(OpenError::NoRelay)));
}
