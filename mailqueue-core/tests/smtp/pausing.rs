//! Relays that an operator pauses, and what is told of relays.

use std::sync::Arc;

use futures_util::FutureExt;
use mailqueue_core::contracts::relay_health::RelayPhase;
use mailqueue_core::contracts::transport::Transport;
use mailqueue_core::domain::report::RelayFault;
use mailqueue_testing::SmtpSink;

use crate::support::*;

fn name(url: &str) -> String {
    url.trim_start_matches("smtp://").to_owned()
}

#[tokio::test]
async fn a_paused_relay_is_passed_over_and_used_again() {
    let [first, second] = [SmtpSink::start().await, SmtpSink::start().await];
    let transport = transport(&[&first.url(), &second.url()]);
    transport.pause_relays(&[name(&first.url()), "mail.example.com:25".to_owned()]);
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    assert_eq!((first.messages().len(), second.messages().len()), (0, 1));
    assert!(transport.is_untroubled(), "a pause is no trouble while another relay works");
    transport.pause_relays(&[]);
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    assert_eq!((first.messages().len(), second.messages().len()), (1, 1));
}

#[tokio::test]
async fn nothing_is_asked_for_and_nothing_sent_while_all_are_paused() {
    let sink = SmtpSink::start().await;
    let transport = Arc::new(transport(&[&sink.url()]));
    transport.pause_relays(&[name(&sink.url())]);
    assert_eq!(fault(&send(&transport, &message()).await), RelayFault::Paused);
    let waiting = tokio::spawn({
        let transport = Arc::clone(&transport);
        async move { transport.ready().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished() && !transport.is_untroubled());
    transport.pause_relays(&[]);
    assert!(waiting.await.unwrap() > 0);
    assert_eq!(sink.messages().len(), 0);
}

#[tokio::test]
async fn a_message_that_waits_for_its_turn_is_not_sent_after_a_pause() {
    let sink = SmtpSink::start().await;
    let transport = transport(&[&format!("{}?rate=1", sink.url())]);
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    let message = message();
    let mut second = Box::pin(send(&transport, &message));
    assert!(second.as_mut().now_or_never().is_none(), "its turn comes a second after the first");
    transport.pause_relays(&[name(&sink.url())]);
    assert_eq!(fault(&second.await), RelayFault::Paused);
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn relays_tell_how_they_are() {
    let sink = SmtpSink::start().await;
    let transport = transport(&["smtp://127.0.0.1:1", &sink.url()]);
    assert!(
        transport
            .relays()
            .iter()
            .all(|relay| relay.phase == RelayPhase::Closed && relay.last_fault.is_none())
    );
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    transport.pause_relays(&[name(&sink.url())]);
    let [faulty, well] = &transport.relays()[..] else { panic!("two relays") };
    assert_eq!(
        (faulty.name.as_str(), faulty.phase, faulty.is_paused),
        ("127.0.0.1:1", RelayPhase::Open, false)
    );
    assert_eq!(faulty.last_fault.map(|last| (last.fault, last.code)), Some((RelayFault::Connect, None)));
    assert_eq!((&well.name, well.phase, well.is_paused), (&name(&sink.url()), RelayPhase::Closed, true));
    assert!(well.allowed > 0 && well.in_use == 0 && well.last_fault.is_none());
}
