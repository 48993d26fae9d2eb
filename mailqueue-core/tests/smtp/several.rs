//! Several relays, and several processes at one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailqueue_core::contracts::transport::{Outgoing, Transport};
use mailqueue_core::domain::report::{RelayFault, Verdict};
use mailqueue_core::transport::smtp::{SmtpTransport, Timeouts};
use mailqueue_testing::{Action, Certificate, Event, Phase, SmtpSink, eventually};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::support::*;

/// Much longer than anything here takes that does not hang.
const HANG_TIMEOUT: Duration = Duration::from_secs(20);

/// Accepts connections and says nothing, so that a TLS handshake or a greeting never ends.
async fn mute() -> (Arc<Mutex<Vec<TcpStream>>>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let connections = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            connections.lock().unwrap().push(connection);
        }
    });
    (accepted, address.to_string())
}

async fn send_all(transport: &Arc<SmtpTransport>, count: usize) -> Vec<Vec<String>> {
    let mut sending = JoinSet::new();
    for _ in 0..count {
        let transport = Arc::clone(transport);
        sending.spawn(async move { words(&send(&transport, &message()).await) });
    }
    timeout(HANG_TIMEOUT, sending.join_all()).await.expect("nobody waits for the relay that hangs")
}

#[tokio::test]
async fn nobody_waits_for_a_relay_that_hangs_while_another_works() {
    let certificate = Certificate::new();
    let second = SmtpSink::start().await;
    let (_listener, address) = mute().await;
    let ca = certificate.ca_pem_file().display();
    for first in [format!("smtps://{address}?ca={ca}"), format!("smtp://{address}")] {
        let patience = Timeouts { patience: SHORT, ..timeouts() };
        let transport = Arc::new(transport_with(&[&first, &second.url()], patience));
        // More than there are slots, and again once it is known to hang.
        for _ in 0..2 {
            assert!(send_all(&transport, 100).await.iter().all(|words| words == &["accepted 250"]));
        }
    }
}

#[tokio::test]
async fn a_probe_that_hangs_stalls_neither_its_message_nor_others() {
    let second = SmtpSink::start().await;
    let (accepted, address) = mute().await;
    let patience = Timeouts { patience: SHORT, ..timeouts() };
    let first = format!("smtp://{address}?greeting_timeout=400ms");
    let transport = Arc::new(transport_with(&[&first, &second.url()], patience));
    let mut before = None;
    eventually("the relay is given up and tried again a few times", async || {
        assert!(send_all(&transport, 40).await.iter().all(|words| words == &["accepted 250"]));
        let tried = accepted.lock().unwrap().len();
        tried >= *before.get_or_insert(tried) + 3
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_opened_late_is_used_by_later_messages() {
    let first = sink_with(at(Phase::Connect, Action::Default.held())).await;
    let second = SmtpSink::start().await;
    let patience = Timeouts { patience: SHORT, ..timeouts() };
    let transport = transport_with(&[&first.url(), &second.url()], patience);
    let report = timeout(HANG_TIMEOUT, send(&transport, &message())).await.unwrap();
    assert_eq!((words(&report), report.relay), (vec!["accepted 250".to_owned()], Some(second.url())));
    let report = timeout(HANG_TIMEOUT, send(&transport, &message())).await.unwrap();
    assert_eq!(report.relay, Some(second.url()), "the first one is being tried");
    assert_eq!(first.connections(), 1);
    first.clear_rules();
    first.release();
    eventually("the connection is used", async || {
        send(&transport, &message()).await.relay == Some(first.url())
    })
    .await;
    assert_eq!(first.connections(), 1);
    assert_clean(&first);
}

#[tokio::test]
async fn it_is_ready_as_long_as_any_relay_is() {
    let second = SmtpSink::start().await;
    let (_listener, address) = mute().await;
    let patience = Timeouts { patience: SHORT, ..timeouts() };
    let transport = transport_with(&[&format!("smtp://{address}"), &second.url()], patience);
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    assert!(timeout(HANG_TIMEOUT, transport.ready()).await.unwrap() > 1);
}

#[tokio::test]
async fn a_relay_that_is_tried_is_ready_for_one_message() {
    let sink = SmtpSink::start().await;
    sink.stop().await;
    let transport = transport(&[&sink.url()]);
    assert!(transport.ready().await > 1);
    assert_eq!(fault(&send(&transport, &message()).await), RelayFault::Connect);
    sink.start_again().await;
    assert_eq!(transport.ready().await, 1);
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    assert_eq!(transport.ready().await, 1, "it starts slowly");
}

#[tokio::test]
async fn a_message_that_a_relay_cannot_take_is_put_to_the_next_one() {
    let large = large(2000);
    let eight_bit = Outgoing { raw: "Subject: olá\r\n\r\nx\r\n".into(), ..message() };
    let utf8 = Outgoing { smtputf8: true, ..to(&["anã@example.com"]) };
    for (capabilities, message, expected) in [
        (vec!["SIZE 1000"], &large, "5.3.4"),
        (vec!["PIPELINING", "SMTPUTF8"], &eight_bit, "5.6.3"),
        (vec!["PIPELINING", "8BITMIME"], &utf8, "5.6.7"),
    ] {
        let first = SmtpSink::builder().ehlo(capabilities.clone()).start().await;
        let second = SmtpSink::start().await;
        let able = transport(&[&first.url(), &second.url()]);
        let report = send(&able, message).await;
        assert_eq!((words(&report), report.relay), (vec!["accepted 250".to_owned()], Some(second.url())));
        assert_eq!(first.record(|record| record.count(Phase::Mail)), 0);
        let report = send(&able, &crate::support::message()).await;
        assert_eq!(report.relay, Some(first.url()), "what it can take it is given");
        assert_eq!(first.connections(), 1);
        let third = SmtpSink::builder().ehlo(capabilities).start().await;
        let unable = transport(&[&first.url(), &third.url()]);
        let report = send(&unable, message).await;
        assert_eq!(words(&report), ["refused -"], "no relay can take it");
        assert!(format!("{report:?}").contains(expected), "{report:?}");
    }
}

#[tokio::test]
async fn a_message_that_one_relay_cannot_take_waits_for_another_that_is_away() {
    for able_is_first in [true, false] {
        let small = SmtpSink::builder().ehlo(["SIZE 1000"]).start().await;
        let able = SmtpSink::start().await;
        able.stop().await;
        let (able_url, small_url) = (able.url(), small.url());
        let urls = if able_is_first { [&able_url, &small_url] } else { [&small_url, &able_url] };
        let transport = transport(&urls.map(String::as_str));
        for _ in 0..2 {
            assert!(matches!(send(&transport, &large(2000)).await.verdict, Verdict::Fault { .. }));
        }
        able.start_again().await;
        eventually("the able relay is used", async || {
            let report = send(&transport, &large(2000)).await;
            let answered = !matches!(report.verdict, Verdict::Fault { .. });
            assert!(!answered || words(&report) == ["accepted 250"]);
            report.relay == Some(able.url()) && answered
        })
        .await;
        assert_eq!((able.messages().len(), small.messages().len()), (1, 0));
    }
}

/// As the worker does it: takes what is due as there is room for it, and puts back what was not taken.
async fn work(transport: Arc<SmtpTransport>, waiting: Arc<Mutex<VecDeque<Instant>>>) {
    let mut sending = JoinSet::new();
    loop {
        let room = transport.ready().await.min(32 - sending.len());
        let due: Vec<Instant> = {
            let mut waiting = waiting.lock().unwrap();
            let now = Instant::now();
            let (mut due, later): (Vec<_>, Vec<_>) = waiting.drain(..).partition(|due| *due <= now);
            waiting.extend(later);
            waiting.extend(due.split_off(due.len().min(room)));
            due
        };
        for _ in due {
            let (transport, waiting) = (Arc::clone(&transport), Arc::clone(&waiting));
            sending.spawn(async move {
                if let Verdict::Fault { retry_after, .. } = send(&transport, &message()).await.verdict {
                    waiting.lock().unwrap().push_back(Instant::now() + retry_after);
                }
            });
        }
        tokio::select! {
            Some(_) = sending.join_next(), if !sending.is_empty() => {}
            () = sleep_until(Instant::now() + Duration::from_millis(20)) => {}
        }
    }
}

#[tokio::test]
async fn three_workers_share_a_relay_that_takes_five_connections() {
    let refusals =
        [Action::ReplyThenClose("421 4.7.0 too many connections".into()), Action::Close, Action::Reset];
    for refusal in refusals {
        let rule = move |event: &Event| match event.phase {
            Phase::Connect if event.open > 5 => refusal.clone(),
            Phase::Dot => Action::Default.delayed(Duration::from_millis(2)),
            _ => Action::Default,
        };
        let sink = sink_with(rule).await;
        let waiting = Arc::new(Mutex::new(VecDeque::from(vec![Instant::now(); 600])));
        let mut workers = JoinSet::new();
        for _ in 0..3 {
            let transport = SmtpTransport::open(vec![sink.url().parse().unwrap()], Timeouts::default());
            workers.spawn(work(Arc::new(transport.unwrap()), Arc::clone(&waiting)));
        }
        // Less than the time for which one of them would leave the relay alone after a few refusals.
        let taken = sink.wait_until(|record| record.messages.len() == 600);
        timeout(HANG_TIMEOUT, taken).await.unwrap_or_else(|_| panic!("{} were taken", sink.messages().len()));
        workers.shutdown().await;
    }
}
