//! Servers that hang, drip or hang up.

use std::time::{Duration, Instant};

use mailqueue_core::contracts::transport::Transport;
use mailqueue_core::domain::report::{RelayFault, Verdict};
use mailqueue_core::transport::smtp::Timeouts;
use mailqueue_testing::{Action, Event, Phase, SmtpSink};

use crate::support::*;

/// Timeouts of which only the one for this phase is short.
fn impatient_at(phase: Phase) -> Timeouts {
    let usual = timeouts();
    match phase {
        Phase::Connect => Timeouts { greeting: SHORT, ..usual },
        Phase::Ehlo | Phase::Auth | Phase::StartTls => Timeouts { command: SHORT, ..usual },
        Phase::Mail => Timeouts { mail: SHORT, ..usual },
        Phase::Rcpt => Timeouts { rcpt: SHORT, ..usual },
        Phase::Data => Timeouts { data: SHORT, ..usual },
        Phase::Body => Timeouts { block: SHORT, ..usual },
        _ => Timeouts { dot: SHORT, ..usual },
    }
}

#[tokio::test]
async fn a_hang_ends_after_the_time_of_its_phase() {
    for (phase, expected) in [
        (Phase::Connect, "protocol"),
        (Phase::Ehlo, "protocol"),
        (Phase::Mail, "deferred -"),
        (Phase::Rcpt, "deferred -"),
        (Phase::Data, "deferred -"),
        (Phase::Dot, "ambiguous -"),
    ] {
        for sink in [sink_with(at(phase, Action::Hang)).await, plodding(at(phase, Action::Hang)).await] {
            let transport = transport_with(&[&sink.url()], impatient_at(phase));
            let started = Instant::now();
            let report = send(&transport, &message()).await;
            let taken = started.elapsed();
            assert!((SHORT..Duration::from_secs(5)).contains(&taken), "{phase:?} took {taken:?}");
            match &report.verdict {
                Verdict::Fault { .. } => assert_eq!(fault(&report).as_str(), expected, "{phase:?}"),
                _ => assert_eq!(words(&report), [expected], "{phase:?}"),
            }
            assert_eq!(report.dot_sent, phase == Phase::Dot);
            sink.wait_until(|record| record.open == 0).await;
            sink.clear_rules();
            transport.ready().await;
            assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"], "after {phase:?}");
        }
    }
}

#[tokio::test]
async fn a_relays_url_sets_the_time_of_each_phase() {
    for (phase, parameter) in [
        (Phase::Connect, "greeting_timeout"),
        (Phase::Ehlo, "command_timeout"),
        (Phase::Mail, "mail_timeout"),
        (Phase::Rcpt, "rcpt_timeout"),
        (Phase::Data, "data_timeout"),
        (Phase::Dot, "dot_timeout"),
    ] {
        let sink = sink_with(at(phase, Action::Hang)).await;
        let transport = transport(&[&format!("{}?{parameter}=300ms", sink.url())]);
        let report = tokio::time::timeout(Duration::from_secs(20), send(&transport, &message())).await;
        assert_eq!(report.expect(parameter).dot_sent, phase == Phase::Dot);
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_in_mid_message_is_given_up() {
    // Nothing is read any more once the sink holds a piece of the body and the buffers are full.
    let sink = sink_with(at(Phase::Body, Action::Default.delayed(Duration::from_secs(30)))).await;
    let transport = transport_with(&[&sink.url()], impatient_at(Phase::Body));
    let started = Instant::now();
    let report = send(&transport, &large(30_000_000)).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(words(&report), ["refused -"], "larger than the sink takes");
    let small = SmtpSink::builder()
        .ehlo(["PIPELINING"])
        .rule(at(Phase::Body, Action::Default.delayed(Duration::from_secs(30))))
        .start()
        .await;
    let transport = transport_with(&[&small.url()], impatient_at(Phase::Body));
    let report = send(&transport, &large(30_000_000)).await;
    assert_eq!(words(&report), ["deferred -"]);
    assert!(!report.dot_sent);
}

#[tokio::test]
async fn a_dripping_reply_has_one_deadline() {
    for phase in [Phase::Connect, Phase::Mail, Phase::Dot] {
        let slowly = Action::Default.dripped(Duration::from_millis(100));
        let sink = sink_with(at(phase, slowly)).await;
        let transport = transport_with(&[&sink.url()], impatient_at(phase));
        let started = Instant::now();
        let report = send(&transport, &message()).await;
        assert!(started.elapsed() < Duration::from_secs(5));
        match phase {
            Phase::Connect => assert_eq!(fault(&report), RelayFault::Protocol),
            Phase::Mail => assert_eq!(words(&report), ["deferred -"]),
            _ => assert_eq!(words(&report), ["ambiguous -"]),
        }
    }
}

#[tokio::test]
async fn the_envelope_as_a_whole_has_a_deadline() {
    let slow = |event: &Event| match event.phase {
        Phase::Rcpt => Action::Default.delayed(Duration::from_millis(200)),
        _ => Action::Default,
    };
    let sink = sink_with(slow).await;
    let recipients: Vec<String> = (0..50).map(|n| format!("r{n}@example.com")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let timeouts = Timeouts { envelope: Duration::from_millis(700), ..timeouts() };
    let started = Instant::now();
    let report = send(&transport_with(&[&sink.url()], timeouts), &to(&recipients)).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(words(&report), ["deferred -"; 50]);
}

#[tokio::test]
async fn end_of_file_in_place_of_a_reply() {
    for action in [Action::Close, Action::Reset] {
        for (phase, expected) in [
            (Phase::Connect, None),
            (Phase::Ehlo, None),
            (Phase::Mail, Some("deferred -")),
            (Phase::Rcpt, Some("deferred -")),
            (Phase::Data, Some("deferred -")),
        ] {
            let sink = sink_with(at(phase, action.clone())).await;
            let report = send(&transport(&[&sink.url()]), &message()).await;
            match expected {
                // A reset in place of the greeting may come before the connection is known to be there.
                None if phase == Phase::Connect && fault(&report) == RelayFault::Connect => {}
                None => assert_eq!(fault(&report), RelayFault::Protocol, "{phase:?}"),
                Some(expected) => assert_eq!(words(&report), [expected], "{phase:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_refused_recipient_stays_refused_when_the_connection_breaks() {
    let rule = |event: &Event| match (event.phase, event.local_part()) {
        (Phase::Rcpt, "rui") => Action::reply("550 5.1.1 no such user"),
        (Phase::Rcpt, "eva") => Action::Reset,
        _ => Action::Default,
    };
    // One at a time, since a reset may overtake replies that were sent before it.
    let sink = plodding(rule).await;
    let message = to(&["ana@example.com", "rui@example.com", "eva@example.com"]);
    let report = send(&transport(&[&sink.url()]), &message).await;
    assert_eq!(words(&report), ["deferred -", "refused 550", "deferred -"]);
    assert!(!report.dot_sent);
}
