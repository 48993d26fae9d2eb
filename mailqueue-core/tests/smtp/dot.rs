//! The message, the gate and the answer to the final dot.

use std::time::Duration;

use mailqueue_core::contracts::transport::{Outgoing, Transport};
use mailqueue_core::domain::report::Verdict;
use mailqueue_testing::{Action, Direction, Event, Phase, Proxy, SmtpSink};

use crate::support::*;

#[tokio::test]
async fn the_answer_to_the_dot_decides() {
    for (reply, word, connections) in [
        ("250 2.0.0 taken", "accepted 250", 1),
        ("250", "accepted 250", 1),
        ("250-first\r\n250 last", "accepted 250", 1),
        ("269 strange but yes", "accepted 269", 2),
        ("354 go on", "ambiguous 354", 2),
        ("221 bye", "ambiguous 221", 2),
        ("450 4.2.0 later", "deferred 450", 1),
        ("421 4.3.2 later", "deferred 421", 2),
        ("550 5.7.1 spam", "refused 550", 1),
    ] {
        let sink = sink_with(at(Phase::Dot, Action::reply(reply))).await;
        let transport = transport(&[&sink.url()]);
        let report = send(&transport, &message()).await;
        assert_eq!(words(&report), [word], "{reply}");
        assert!(report.dot_sent);
        sink.clear_rules();
        assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
        assert_eq!(sink.connections(), connections, "{reply}");
    }
}

#[tokio::test]
async fn odd_octets_after_the_dot_are_read_by_their_code() {
    for (bytes, word) in [
        (b"250 entregue \xe0s 3\r\n".as_slice(), "accepted 250"),
        (b"250 without a CR\n", "accepted 250"),
        (b"OK\r\n", "ambiguous -"),
        (b"250-a\r\n550 b\r\n", "ambiguous -"),
        (b"\r\n", "ambiguous -"),
    ] {
        let sink = sink_with(at(Phase::Dot, Action::Bytes(bytes.to_vec()))).await;
        let report = send(&transport(&[&sink.url()]), &message()).await;
        assert_eq!(words(&report), [word], "{bytes:?}");
        assert!(report.dot_sent);
    }
}

#[tokio::test]
async fn silence_after_the_dot_is_ambiguous() {
    for action in [Action::Close, Action::Reset, Action::RecordThenClose, Action::Hang] {
        let sink = sink_with(at(Phase::Dot, action.clone())).await;
        let transport = transport_with(
            &[&sink.url()],
            mailqueue_core::transport::smtp::Timeouts { dot: SHORT, ..timeouts() },
        );
        let report = send(&transport, &to(&["ana@example.com", "rui@example.com"])).await;
        assert_eq!(words(&report), ["ambiguous -"; 2], "{action:?}");
        assert!(report.dot_sent);
    }
}

#[tokio::test]
async fn a_yes_counts_even_if_a_reset_follows() {
    let sink = sink_with(at(Phase::Dot, Action::AcceptThenReset)).await;
    let transport = transport(&[&sink.url()]);
    for _ in 0..5 {
        assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    }
    assert_eq!(sink.messages().len(), 5);
}

#[tokio::test]
async fn a_shut_gate_ends_the_connection_without_a_dot() {
    for message in [message(), large(300_000)] {
        let sink = SmtpSink::start().await;
        let gate = Counting::saying(false);
        let report = transport(&[&sink.url()]).send(&message, &gate).await;
        assert_eq!(report.verdict, Verdict::Withheld);
        assert!(!report.dot_sent && gate.asked() == 1);
        sink.wait_until(|record| record.open == 0).await;
        assert_eq!(sink.record(|record| (record.aborted, record.count(Phase::Dot))), (1, 0));
    }
}

#[tokio::test]
async fn an_early_refusal_in_the_middle_of_a_large_message_counts() {
    let reply = |event: &Event| match event.phase {
        Phase::Body if event.size > 100_000 => Action::ReplyThenReset("552 5.3.4 that is too much".into()),
        _ => Action::Default,
    };
    let sink = sink_with(reply).await;
    let gate = Counting::saying(true);
    let report = transport(&[&sink.url()]).send(&large(8_000_000), &gate).await;
    assert_eq!(words(&report), ["refused 552"]);
    assert!(!report.dot_sent && gate.asked() == 0);
}

#[tokio::test]
async fn an_early_reply_that_is_no_refusal_stops_the_message() {
    let sink = sink_with(at(Phase::Data, Action::Bytes(b"354 go\r\n250 taken already\r\n".to_vec()))).await;
    for message in [message(), large(300_000)] {
        let report = send(&transport(&[&sink.url()]), &message).await;
        assert_eq!(words(&report), ["deferred -"]);
        assert!(!report.dot_sent);
    }
    sink.wait_until(|record| record.open == 0).await;
    assert_eq!(sink.record(|record| record.count(Phase::Dot)), 0);
}

#[tokio::test]
async fn a_cut_in_the_middle_of_a_large_message_is_not_ambiguous() {
    let sink = SmtpSink::start().await;
    let proxy = Proxy::start(sink.address()).await;
    proxy.cut_after(Direction::ToTarget, 200_000);
    let transport = transport(&[&proxy.url(&sink.url())]);
    let report = send(&transport, &large(8_000_000)).await;
    assert_eq!(words(&report), ["deferred -"]);
    assert!(!report.dot_sent);
    assert_eq!(words(&send(&transport, &large(8_000_000)).await), ["accepted 250"]);
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn a_message_arrives_as_it_is() {
    let long = "x".repeat(64 * 1024 - 1);
    for raw in [
        ".\r\n".to_owned(),
        "a\r\n.\r\n..\r\n.b\r\n\r\n.\r\n".to_owned(),
        "no line end".to_owned(),
        "\r\n".to_owned(),
        String::new(),
        // A dot at the border between two pieces, and a line end across it.
        format!("{}\r\n.{long}\r\n", &long[1..]),
        format!("{long}\r\n.{long}\r\n"),
        format!("{long}.{long}\r\n.\r\n"),
    ] {
        let sink = SmtpSink::start().await;
        let report =
            send(&transport(&[&sink.url()]), &Outgoing { raw: raw.clone().into(), ..message() }).await;
        assert_eq!(words(&report), ["accepted 250"]);
        let mut expected = raw.clone();
        if !(raw.is_empty() || raw.ends_with("\r\n")) {
            expected.push_str("\r\n");
        }
        assert!(sink.messages()[0].body == expected, "{} octets", raw.len());
        assert_clean(&sink);
    }
}

#[tokio::test]
async fn envelope_and_message_are_two_things() {
    let sink = SmtpSink::start().await;
    let message = to(&["ana@example.com", "hidden@example.com"]);
    send(&transport(&[&sink.url()]), &message).await;
    let received = &sink.messages()[0];
    assert_eq!(received.recipients, ["ana@example.com", "hidden@example.com"]);
    assert_eq!(received.sender, "sender@example.com");
    assert!(!received.text().contains("hidden"));
    assert_eq!(received.body, message.raw);
}

#[tokio::test]
async fn the_next_message_does_not_hear_the_answer_to_the_last() {
    // The first answer comes only after the client has given up waiting for it.
    let rule = |event: &Event| match (event.phase, event.is_first()) {
        (Phase::Dot, true) => Action::reply("250 2.0.0 taken").delayed(Duration::from_millis(600)),
        (Phase::Dot, false) => Action::reply("550 5.7.1 spam"),
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    let timeouts = mailqueue_core::transport::smtp::Timeouts { dot: SHORT, ..timeouts() };
    let transport = transport_with(&[&sink.url()], timeouts);
    assert_eq!(words(&send(&transport, &message()).await), ["ambiguous -"]);
    // While that answer is still to come, and once it has come.
    assert_eq!(words(&send(&transport, &message()).await), ["refused 550"]);
    sink.wait_until(|record| record.open == 1).await;
    assert_eq!(words(&send(&transport, &message()).await), ["refused 550"]);
    assert_eq!(sink.connections(), 2);
}
