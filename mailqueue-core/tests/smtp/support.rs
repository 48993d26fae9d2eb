//! What the tests share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::contracts::transport::{Gate, Outgoing, Transport};
use mailqueue_core::domain::id::MessageId;
use mailqueue_core::domain::report::{Outcome, RelayFault, Report, Verdict};
use mailqueue_core::transport::smtp::{SmtpTransport, Timeouts};
use mailqueue_testing::{Action, Event, Phase, SmtpSink};
use time::OffsetDateTime;

/// Short enough for a test to wait for, long enough not to fire by itself.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// A gate that counts how often it is asked.
pub(crate) struct Counting {
    answer: bool,
    asked: AtomicUsize,
}

impl Counting {
    pub(crate) fn saying(answer: bool) -> Self {
        Self { answer, asked: AtomicUsize::new(0) }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Gate for Counting {
    async fn may_send_dot(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answer
    }
}

/// Timeouts with which a relay is left alone for some hundredths of a second.
pub(crate) fn timeouts() -> Timeouts {
    Timeouts {
        backoff_first: Duration::from_millis(50),
        backoff_cap: Duration::from_millis(200),
        ..Timeouts::default()
    }
}

pub(crate) fn transport(urls: &[&str]) -> SmtpTransport {
    transport_with(urls, timeouts())
}

/// A sink whose relay starts slowly, but not too slowly for a test.
pub(crate) fn quick(url: &str) -> String {
    format!("{url}?slow_start=1000")
}

pub(crate) fn transport_with(urls: &[&str], timeouts: Timeouts) -> SmtpTransport {
    SmtpTransport::open(urls.iter().map(|url| url.parse().unwrap()).collect(), timeouts).unwrap()
}

pub(crate) fn to(recipients: &[&str]) -> Outgoing {
    Outgoing {
        id: MessageId::new(OffsetDateTime::UNIX_EPOCH),
        sender: "sender@example.com".into(),
        recipients: recipients.iter().map(|recipient| recipient.parse().unwrap()).collect(),
        raw: "Subject: test\r\nTo: ana@example.com\r\n\r\nHello.\r\n".into(),
        smtputf8: false,
    }
}

pub(crate) fn message() -> Outgoing {
    to(&["ana@example.com"])
}

/// A message of that many octets or a few more.
pub(crate) fn large(octets: usize) -> Outgoing {
    let line = format!(".{}\r\n", "x".repeat(77));
    Outgoing { raw: format!("Subject: large\r\n\r\n{}", line.repeat(octets / 80 + 1)).into(), ..message() }
}

pub(crate) async fn send(transport: &SmtpTransport, message: &Outgoing) -> Report {
    transport.send(message, &Counting::saying(true)).await
}

/// A sink that does this at this phase, the first time or always.
pub(crate) fn at(phase: Phase, action: Action) -> impl Fn(&Event) -> Action + Send + Sync + 'static {
    move |event| if event.phase == phase { action.clone() } else { Action::Default }
}

pub(crate) async fn sink_with(rule: impl Fn(&Event) -> Action + Send + Sync + 'static) -> SmtpSink {
    SmtpSink::builder().rule(rule).start().await
}

/// A sink without PIPELINING.
pub(crate) async fn plodding(rule: impl Fn(&Event) -> Action + Send + Sync + 'static) -> SmtpSink {
    SmtpSink::builder().ehlo(["8BITMIME", "SIZE 10485760"]).rule(rule).start().await
}

/// Each outcome as a word and its code: `accepted 250`, `deferred -`.
pub(crate) fn words(report: &Report) -> Vec<String> {
    let Verdict::Answered(outcomes) = &report.verdict else { panic!("not answered: {report:?}") };
    let word = |outcome: &Outcome| {
        let (word, reply) = match outcome {
            Outcome::Accepted(reply) => ("accepted", reply),
            Outcome::Deferred(reply) => ("deferred", reply),
            Outcome::Refused(reply) => ("refused", reply),
            Outcome::Ambiguous(reply) => ("ambiguous", reply),
        };
        reply.code.map_or_else(|| format!("{word} -"), |code| format!("{word} {code}"))
    };
    outcomes.iter().map(|(_, outcome)| word(outcome)).collect()
}

pub(crate) fn fault(report: &Report) -> RelayFault {
    let Verdict::Fault { fault, retry_after, .. } = &report.verdict else { panic!("no fault: {report:?}") };
    assert!(!report.dot_sent && *retry_after >= Duration::from_secs(1), "{report:?}");
    *fault
}

/// No client broke the protocol.
pub(crate) fn assert_clean(sink: &SmtpSink) {
    assert_eq!(sink.record(|record| record.violations.clone()), Vec::<String>::new());
}
