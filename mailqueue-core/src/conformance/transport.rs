//! The suite that every [`Transport`] passes.
//!
//! One line in a test file runs it, one `#[tokio::test]` a case:
//!
//! ```ignore
//! mailqueue_core::transport_conformance!(memory, MemoryHarness::open());
//! ```
//!
//! where the expression is a future of something that implements [`Harness`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::contracts::transport::{Gate, Outgoing, Transport};
use crate::domain::id::MessageId;
use crate::domain::report::{Outcome, Report, Verdict};

/// How long a case waits before it believes that nothing arrives any more.
const QUIET: Duration = Duration::from_millis(100);

/// A transport whose far end takes everything and can be looked at.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The transport under test, always the same one.
    fn transport(&self) -> Arc<dyn Transport>;

    /// The copies that have arrived so far, each exactly as a recipient gets it.
    async fn received(&self) -> Vec<Bytes>;
}

/// An accepted message arrives once, byte for byte, for every recipient.
pub async fn accepted_arrives_once_and_unchanged(harness: impl Harness) {
    let message =
        message(1, "one@example.com, two@example.com", "Hello.\r\n.\r\n..dots\r\n.. and more\r\nend\r\n");
    let report = harness.transport().send(&message, &Door::open()).await;
    assert_accepted(&message, &report);
    assert_eq!(harness.received().await, [message.raw]);
}

/// A large message arrives once and byte for byte.
pub async fn a_large_message_arrives_unchanged(harness: impl Harness) {
    let message = message(1, "one@example.com", &".a line that begins with a dot\r\n".repeat(20_000));
    let report = harness.transport().send(&message, &Door::open()).await;
    assert_accepted(&message, &report);
    assert_eq!(harness.received().await, [message.raw]);
}

/// A gate that stays shut lets nothing out, and the report says so.
pub async fn a_shut_gate_withholds(harness: impl Harness) {
    let message = message(1, "one@example.com", "Hello.\r\n");
    let report = harness.transport().send(&message, &Door::shut()).await;
    assert_eq!(report.verdict, Verdict::Withheld);
    assert!(!report.dot_sent, "a withheld message was reported as maybe sent");
    tokio::time::sleep(QUIET).await;
    assert_eq!(harness.received().await, Vec::<Bytes>::new());
}

/// A withheld message can be sent afterwards, and then arrives once.
pub async fn withheld_can_be_sent_later(harness: impl Harness) {
    let message = message(1, "one@example.com", "Hello.\r\n");
    harness.transport().send(&message, &Door::shut()).await;
    let report = harness.transport().send(&message, &Door::open()).await;
    assert_accepted(&message, &report);
    assert_eq!(harness.received().await, [message.raw]);
}

/// The gate is asked once a message, while nothing has arrived yet.
pub async fn the_gate_is_asked_once_and_before(harness: impl Harness) {
    let message = message(1, "one@example.com", "Hello.\r\n");
    let watching = Watching { harness: &harness, asked: AtomicUsize::new(0) };
    let report = harness.transport().send(&message, &watching).await;
    assert_accepted(&message, &report);
    assert_eq!(watching.asked.load(Ordering::SeqCst), 1, "how often the gate was asked");
}

/// A send that is dropped while the gate thinks leaves no copy, and what is sent next is not harmed.
pub async fn dropped_at_the_gate_leaves_no_copy(harness: impl Harness) {
    let (dropped, next) =
        (message(1, "one@example.com", "Dropped.\r\n"), message(2, "one@example.com", "Next.\r\n"));
    let (transport, gate) = (harness.transport(), Arc::new(Stuck::default()));
    let sending = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { transport.send(&dropped, &*gate).await }
    });
    gate.reached.notified().await;
    sending.abort();
    assert!(sending.await.is_err_and(|error| error.is_cancelled()), "the send ended before it was dropped");
    let report = harness.transport().send(&next, &Door::open()).await;
    assert_accepted(&next, &report);
    tokio::time::sleep(QUIET).await;
    assert_eq!(harness.received().await, [next.raw]);
}

/// Many sends at once: each message arrives once.
pub async fn concurrent_sends_arrive_once_each(harness: impl Harness) {
    let messages: Vec<Outgoing> =
        (0..100).map(|n| message(n, "one@example.com", &format!("Number {n}.\r\n"))).collect();
    let mut sending = tokio::task::JoinSet::new();
    for message in messages.clone() {
        let transport = harness.transport();
        sending.spawn(async move {
            let report = transport.send(&message, &Door::open()).await;
            assert_accepted(&message, &report);
        });
    }
    while let Some(sent) = sending.join_next().await {
        assert!(sent.is_ok(), "a send failed: {sent:?}");
    }
    let mut received = harness.received().await;
    let mut expected: Vec<Bytes> = messages.into_iter().map(|message| message.raw).collect();
    received.sort();
    expected.sort();
    assert_eq!(received, expected);
}

/// A transport that is at rest is ready.
pub async fn it_is_ready_at_rest(harness: impl Harness) {
    let ready = tokio::time::timeout(Duration::from_secs(5), async { harness.transport().ready().await });
    assert!(ready.await.is_ok(), "not ready although nothing happened");
}

fn assert_accepted(message: &Outgoing, report: &Report) {
    let Verdict::Answered(outcomes) = &report.verdict else { panic!("not accepted: {report:?}") };
    let asked: Vec<_> = message.recipients.iter().collect();
    let answered: Vec<_> = outcomes.iter().map(|(recipient, _)| recipient).collect();
    assert_eq!(answered, asked, "the recipients answered for");
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Accepted(_))), "{report:?}");
    assert!(report.dot_sent, "accepted without a dot");
    assert!(report.relay.is_some(), "accepted by nobody");
}

fn message(number: usize, recipients: &str, text: &str) -> Outgoing {
    let recipients = recipients.split(", ").map(|address| address.parse().expect("a test's address is one"));
    let raw = format!("Message-ID: <{number}@example.com>\r\nSubject: conformance\r\n\r\n{text}");
    Outgoing {
        id: MessageId::new(OffsetDateTime::UNIX_EPOCH + Duration::from_secs(number as u64)),
        sender: "sender@example.com".to_owned(),
        recipients: recipients.collect(),
        raw: raw.into(),
        smtputf8: false,
    }
}

/// A gate that is open or shut.
struct Door(bool);

impl Door {
    fn open() -> Self {
        Self(true)
    }

    fn shut() -> Self {
        Self(false)
    }
}

#[async_trait]
impl Gate for Door {
    async fn may_send_dot(&self) -> bool {
        self.0
    }
}

/// A gate that looks at the far end when it is asked.
struct Watching<'a, H> {
    harness: &'a H,
    asked: AtomicUsize,
}

#[async_trait]
impl<H: Harness> Gate for Watching<'_, H> {
    async fn may_send_dot(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // A copy that left too early has time to arrive.
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.harness.received().await, Vec::<Bytes>::new(), "sent before the gate was asked");
        true
    }
}

/// A gate that never answers.
#[derive(Default)]
struct Stuck {
    reached: Notify,
}

#[async_trait]
impl Gate for Stuck {
    async fn may_send_dot(&self) -> bool {
        self.reached.notify_one();
        std::future::pending().await
    }
}

/// Expands to a module of one `#[tokio::test]` a case, each with a harness of its own from `$open`, an expression
/// that gives a future of a [`Harness`].
#[macro_export]
macro_rules! transport_conformance {
    ($name:ident, $open:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may name what stands around the module")]
            use super::*;
            $crate::transport_conformance!(@cases $open;
                accepted_arrives_once_and_unchanged
                a_large_message_arrives_unchanged
                a_shut_gate_withholds
                withheld_can_be_sent_later
                the_gate_is_asked_once_and_before
                dropped_at_the_gate_leaves_no_copy
                concurrent_sends_arrive_once_each
                it_is_ready_at_rest
            );
        }
    };
    (@cases $open:expr; $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::transport::$case($open.await).await;
            }
        )*
    };
}
