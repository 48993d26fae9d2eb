//! Connections that are kept, and those that are not.

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::Transport;
use mailqueue_core::transport::smtp::Timeouts;
use mailqueue_testing::{Action, Event, Phase, SmtpSink};
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn a_connection_carries_a_hundred_messages_and_takes_leave() {
    let sink = SmtpSink::start().await;
    let transport = transport(&[&sink.url()]);
    for _ in 0..250 {
        assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    }
    let per_connection =
        sink.record(|record| record.conversations.iter().map(|each| each.messages).collect::<Vec<_>>());
    assert_eq!(per_connection, [100, 100, 50]);
    assert_eq!(sink.commands(1).last().unwrap(), "QUIT");
    assert_clean(&sink);
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    let sink = sink_with(at(Phase::Dot, Action::Default.delayed(Duration::from_millis(5)))).await;
    let transport = Arc::new(transport(&[&format!("{}?connections=4", sink.url())]));
    let mut sending = JoinSet::new();
    for _ in 0..100 {
        let transport = Arc::clone(&transport);
        sending.spawn(async move { words(&send(&transport, &message()).await) });
    }
    assert!(sending.join_all().await.iter().all(|words| words == &["accepted 250"]));
    assert_eq!((sink.connections(), sink.concurrent_peak(), sink.messages().len()), (4, 4, 100));
}

#[tokio::test]
async fn an_idle_connection_takes_leave_by_itself() {
    let sink = SmtpSink::start().await;
    let transport = transport_with(&[&sink.url()], Timeouts { idle: SHORT, ..timeouts() });
    send(&transport, &message()).await;
    sink.wait_until(|record| record.open == 0).await;
    assert_eq!(sink.commands(1).last().unwrap(), "QUIT");
    send(&transport, &message()).await;
    assert_eq!(sink.connections(), 2);
    transport.close().await;
    assert_eq!(sink.commands(2).last().unwrap(), "QUIT");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_nothing() {
    for farewell in
        [Action::Close, Action::Reset, Action::ReplyThenClose("421 4.4.2 idle for too long".into())]
    {
        for (early, pipelining) in [(true, true), (false, true), (true, false), (false, false)] {
            let farewell = farewell.clone();
            let rule = move |event: &Event| match (event.phase, event.connection, early) {
                // Gone right after the first message, or in answer to the second.
                (Phase::Dot, 1, true) if farewell != Action::Close => match &farewell {
                    Action::Reset => Action::AcceptThenReset,
                    _ => Action::Bytes(b"250 2.0.0 taken\r\n".to_vec()),
                },
                (Phase::Mail, 1, _) if event.message == 2 => farewell.clone(),
                _ => Action::Default,
            };
            let sink = if pipelining { sink_with(rule).await } else { plodding(rule).await };
            let transport = transport(&[&sink.url()]);
            for _ in 0..2 {
                assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
                if early {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            assert_eq!((sink.connections(), sink.messages().len()), (2, 2));
        }
    }
}

#[tokio::test]
async fn octets_on_an_idle_connection_are_no_answer() {
    // A second reply to the dot of the first message, which comes a little later than the first one.
    let rule = |event: &Event| match (event.phase, event.connection) {
        (Phase::Dot, 1) => {
            Action::Bytes(b"250 taken\r\n250 again\r\n".to_vec()).dripped(Duration::from_millis(3))
        }
        (Phase::Mail, 1) if event.message == 2 => Action::reply("550 the old connection was used"),
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    let transport = transport(&[&sink.url()]);
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_saw_many_refusals_is_not_kept() {
    let sink = sink_with(at(Phase::Rcpt, Action::reply("550 5.1.1 no such user"))).await;
    let transport = transport(&[&sink.url()]);
    for _ in 0..12 {
        assert_eq!(words(&send(&transport, &message()).await), ["refused 550"]);
    }
    assert!(sink.connections() > 1, "{}", sink.connections());
    assert_clean(&sink);
}

#[tokio::test]
async fn the_rate_is_kept() {
    let sink = SmtpSink::start().await;
    let transport = transport(&[&format!("{}?rate=20", sink.url())]);
    let started = std::time::Instant::now();
    for _ in 0..11 {
        send(&transport, &message()).await;
    }
    assert!(started.elapsed() >= Duration::from_millis(495), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_dropped_send_does_not_keep_its_connection() {
    let sink = sink_with(|event: &Event| match (event.phase, event.connection) {
        (Phase::Dot, 1) => Action::Hang,
        _ => Action::Default,
    })
    .await;
    let transport = transport(&[&sink.url()]);
    let message = message();
    let sending = send(&transport, &message);
    assert!(tokio::time::timeout(SHORT, sending).await.is_err());
    sink.wait_until(|record| record.open == 0).await;
    assert_eq!(words(&send(&transport, &message).await), ["accepted 250"]);
    assert_eq!(sink.connections(), 2);
}
