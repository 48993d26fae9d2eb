//! Servers that break the protocol.

use mailqueue_core::domain::report::RelayFault;
use mailqueue_testing::{Action, Event, Phase};

use crate::support::*;

#[tokio::test]
async fn a_yes_to_data_is_no_invitation() {
    for reply in ["250 2.0.0 OK", "200 OK", "334 VXNlcg==", "359 nearly"] {
        for sink in [
            sink_with(at(Phase::Data, Action::reply(reply))).await,
            plodding(at(Phase::Data, Action::reply(reply))).await,
        ] {
            let transport = transport(&[&sink.url()]);
            let report = send(&transport, &message()).await;
            assert_eq!(words(&report), ["deferred -"], "{reply}");
            assert!(!report.dot_sent);
            sink.wait_until(|record| record.open == 0).await;
            assert_eq!(sink.messages().len(), 0);
        }
    }
}

#[tokio::test]
async fn junk_is_no_answer() {
    for bytes in
        [b"OK\r\n".as_slice(), b"\r\n", b"250-a\r\n550 b\r\n", b"999 x\r\n", b"\0\0\0\n", b"354 x\r\n"]
    {
        for phase in [Phase::Connect, Phase::Ehlo, Phase::Mail, Phase::Rcpt] {
            let sink = sink_with(at(phase, Action::Bytes(bytes.to_vec()))).await;
            let report = send(&transport(&[&sink.url()]), &message()).await;
            match phase {
                Phase::Connect | Phase::Ehlo if bytes.starts_with(b"354") => {
                    assert_eq!(fault(&report), RelayFault::Greeting, "{bytes:?} at {phase:?}");
                }
                Phase::Connect | Phase::Ehlo => assert_eq!(fault(&report), RelayFault::Protocol, "{bytes:?}"),
                _ => assert_eq!(words(&report), ["deferred -"], "{bytes:?} at {phase:?}"),
            }
            assert!(!report.dot_sent);
            sink.wait_until(|record| record.open == 0).await;
            assert_eq!(sink.record(|record| record.count(Phase::Dot)), 0);
        }
    }
}

#[tokio::test]
async fn a_reply_without_end_is_given_up() {
    let endless = Action::Bytes(b"250-x\r\n".repeat(20_000));
    let sink = sink_with(at(Phase::Ehlo, endless)).await;
    assert_eq!(fault(&send(&transport(&[&sink.url()]), &message()).await), RelayFault::Protocol);
    let line = Action::Bytes(b"2".repeat(1_000_000));
    let sink = sink_with(at(Phase::Connect, line)).await;
    assert_eq!(fault(&send(&transport(&[&sink.url()]), &message()).await), RelayFault::Protocol);
}

#[tokio::test]
async fn a_reply_before_the_command_is_the_relays_fault() {
    for (phase, bytes) in [
        (Phase::Connect, b"220 sink.test\r\n250 out of turn\r\n".as_slice()),
        (Phase::Ehlo, b"250-sink.test\r\n250 PIPELINING\r\n250 out of turn\r\n"),
    ] {
        let sink = sink_with(at(phase, Action::Bytes(bytes.to_vec()))).await;
        let report = send(&transport(&[&sink.url()]), &message()).await;
        assert_eq!(fault(&report), RelayFault::Protocol, "{phase:?}");
        assert_eq!(sink.record(|record| record.count(Phase::Mail)), 0);
    }
}

#[tokio::test]
async fn a_reply_too_many_ends_the_connection() {
    for (phase, bytes, expected) in [
        (Phase::Dot, b"250 taken\r\n250 taken twice\r\n".as_slice(), "accepted 250"),
        (Phase::Dot, b"550 no\r\n250 yes\r\n", "refused 550"),
        (Phase::Rcpt, b"250 yes\r\n250 yes\r\n", "deferred -"),
        (Phase::Mail, b"250 yes\r\n250 yes\r\n", "deferred -"),
    ] {
        for rule in [true, false] {
            let once = move |event: &Event| match event.phase == phase && event.connection == 1 {
                true => Action::Bytes(bytes.to_vec()),
                false => Action::Default,
            };
            let sink = if rule { sink_with(once).await } else { plodding(once).await };
            let transport = transport(&[&sink.url()]);
            assert_eq!(words(&send(&transport, &message()).await), [expected], "{phase:?}");
            let report = send(&transport, &message()).await;
            assert_eq!(words(&report), ["accepted 250"], "{phase:?}");
            assert_eq!(sink.connections(), 2);
        }
    }
}
