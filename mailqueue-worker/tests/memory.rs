//! How much mail a worker holds at once.

mod system;

use mailqueue_core::{Draft, MessageId, Status};
use mailqueue_testing::{Action, Event, Phase, SmtpSink};
use system::System;

const LARGE: &str = "large@example.com";

/// About 5.5 MB as it is sent: with the least memory, three quarters of which are for large messages, there is room for
/// three of them and the copy that a claim makes.
fn large(n: usize) -> Draft {
    let file = vec![n as u8; 4 << 20];
    Draft::new(LARGE, format!("user{n}@example.org"), "Large").text("Large.").attach("file", "a/b", file)
}

fn small(n: usize) -> Draft {
    Draft::new("shop@example.com", format!("user{n}@example.org"), "Small").text("Small.")
}

async fn submit(system: &System, draft: Draft) -> MessageId {
    system.outbox.submit(draft).await.expect("accepted").id
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_wait_for_memory_and_hold_up_nobody() {
    const COUNT: usize = 8;
    let system = System::start().await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Mail if event.address == LARGE => Action::Default.held(),
        _ => Action::Default,
    });
    let mut ids = Vec::new();
    for n in 0..COUNT {
        ids.push(submit(&system, large(n)).await);
    }
    let _worker = system.worker(&[("MAILQUEUE_MEMORY", "32MiB")]);
    let mut sent = 0;
    while sent < COUNT {
        let at_once = 3.min(COUNT - sent);
        system.sink.wait_until(|record| record.held == at_once).await;
        // What is small passes by while they are held, and by then a fourth would have come.
        for n in 0..40 {
            ids.push(submit(&system, small(n)).await);
        }
        let smalls = ids.len() - COUNT;
        system.sink.wait_until(|record| record.messages.len() == smalls + sent).await;
        let held = system.sink.record(|record| record.held);
        assert_eq!(held, at_once, "large messages at once");
        system.sink.release();
        sent += at_once;
        system.sink.wait_until(|record| record.messages.len() == smalls + sent).await;
    }
    for record in system.finished(&ids).await {
        assert_eq!((record.delivery.status, record.delivery.attempt), (Status::Sent, 1));
    }
    assert_eq!(system.sink.messages().len(), ids.len(), "each exactly once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_larger_than_the_memory_is_sent_alone() {
    let sink = SmtpSink::builder().ehlo(["PIPELINING", "8BITMIME", "SIZE 52428800"]).start().await;
    let system = System::with_sink(sink).await;
    system.sink.set_rule(|event: &Event| match event.phase {
        Phase::Mail if event.address == LARGE => Action::Default.held(),
        _ => Action::Default,
    });
    // 26 MiB as they are sent.
    let limits = mailqueue_core::domain::draft::Limits { content: 30 << 20, ..Default::default() };
    let outbox = system.outbox.clone().with_limits(limits);
    let mut ids = Vec::new();
    for n in 0..2 {
        let draft = Draft::new(LARGE, format!("user{n}@example.org"), "Huge").text("Huge.");
        let draft = draft.attach("file", "a/b", vec![n as u8; 19 << 20]);
        ids.push(outbox.submit(draft).await.expect("accepted").id);
    }
    let worker = system.worker(&[("MAILQUEUE_MEMORY", "32MiB")]);
    for n in 1..=2 {
        system.sink.wait_until(|record| record.held == 1).await;
        ids.push(submit(&system, small(n)).await);
        system.sink.wait_until(|record| record.messages.len() == 2 * n - 1).await;
        assert_eq!(system.sink.record(|record| record.held), 1, "the other one waits");
        system.sink.release();
        system.sink.wait_until(|record| record.messages.len() == 2 * n).await;
    }
    system.finished(&ids).await;
    assert!(!worker.log().contains("ERROR"), "{}", worker.log());
}
