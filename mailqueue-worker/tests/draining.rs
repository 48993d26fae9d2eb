//! Ending a worker that has work in hand.

mod system;

use std::time::Duration;

use mailqueue_core::{Draft, Status};
use mailqueue_testing::{Action, Event, Phase};
use system::System;

fn draft(n: usize) -> Draft {
    Draft::new("shop@example.com", format!("user{n}@example.org"), "Hello").text("Hello.")
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_mail_past_the_dot_and_gives_back_the_rest() {
    let system = System::start().await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Dot => Action::Default.delayed(Duration::from_secs(2)),
        Phase::Mail if event.line.contains("stuck@") => Action::Hang,
        _ => Action::Default,
    });
    let worker = system.worker(&[]);
    let past_dot = system.outbox.submit(draft(1)).await.expect("accepted").id;
    let stuck = Draft { from: "stuck@example.com".to_owned(), ..draft(2) };
    let stuck = system.outbox.submit(stuck).await.expect("accepted").id;
    system.sink.wait_until(|record| record.count(Phase::Dot) == 1 && record.hung >= 1).await;
    worker.signal("TERM");
    let (status, log) = worker.ended().await;
    assert!(status.success(), "it drains by itself:\n{log}");
    assert_eq!(system.record(past_dot).await.delivery.status, Status::Sent);
    let given_back = system.record(stuck).await.delivery;
    assert_eq!((given_back.status, given_back.attempt, given_back.attempts.len()), (Status::Queued, 0, 0));
    assert_eq!(system.sink.messages().len(), 1, "nothing was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let system = System::start().await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Dot => Action::Default.held(),
        _ => Action::Default,
    });
    let worker = system.worker(&[]);
    let id = system.outbox.submit(draft(1)).await.expect("accepted").id;
    system.sink.wait_until(|record| record.count(Phase::Dot) == 1).await;
    worker.signal("TERM");
    worker.says("draining").await;
    worker.signal("TERM");
    let (status, log) = worker.ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert_eq!(system.record(id).await.delivery.status, Status::Sending, "its lease runs out by itself");
}
