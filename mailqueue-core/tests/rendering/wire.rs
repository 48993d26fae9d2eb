//! Ten thousand messages over real sockets, looked at as raw octets.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use async_trait::async_trait;
use mailqueue_core::contracts::transport::{Gate, Outgoing, Transport};
use mailqueue_core::domain::render::render;
use mailqueue_core::domain::report::{Outcome, Report, Verdict};
use mailqueue_core::transport::smtp::{SmtpTransport, Timeouts};
use mailqueue_core::{Draft, Limits, MessageId};
use mailqueue_testing::{Line, Received, SmtpSink};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Runtime;

use crate::NOW;
use crate::drafts::hostile;
use crate::octets::Octets;

/// How many messages are made up.
const MESSAGES: usize = 10_000;

/// How many are on their way at once, to each server over a connection of its own.
const AT_ONCE: usize = 8;

/// A gate that is open.
struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_send_dot(&self) -> bool {
        true
    }
}

/// A server and the way to it.
struct Relay {
    sink: SmtpSink,
    transport: SmtpTransport,
}

impl Relay {
    async fn offering(capabilities: &[&str]) -> Self {
        let sink = SmtpSink::builder().ehlo(capabilities.iter().copied()).start().await;
        let url = format!("{}?connections={AT_ONCE}", sink.url());
        let url = url.parse().expect("a relay");
        let transport = SmtpTransport::open(vec![url], Timeouts::default()).expect("a transport");
        Self { sink, transport }
    }

    /// The message as it came in, which must be there.
    fn received(&self, message: &Outgoing) -> Received {
        let name = format!("<{}@", message.id);
        let names = |received: &&Received| memchr::memmem::find(&received.body, name.as_bytes()).is_some();
        let found = self.sink.record(|record| record.messages.iter().rev().find(names).cloned());
        found.expect("the message came in")
    }

    /// That nothing was said that belongs to no message: what stands behind an end seen too early is read as commands.
    fn assert_nothing_else_was_said(&self) {
        self.sink.record(|record| {
            assert_eq!(record.violations, [""; 0]);
            for line in record.conversations.iter().flat_map(|conversation| &conversation.lines) {
                let refused = matches!(line, Line::Server(line) if line.starts_with(['4', '5']));
                assert!(!refused, "{line}");
            }
        });
    }
}

/// The draft with this number, always the same one, and what is sent for it.
fn made_up(number: usize, drafts: &impl Strategy<Value = Draft>) -> (Draft, Outgoing) {
    // Numbers side by side would give drafts that are much alike; and the default generator takes most of the time.
    let seed = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let id: MessageId = format!("0195f0a0-0000-7000-8000-{number:012}").parse().expect("an id");
    loop {
        let draft = drafts.new_tree(&mut runner).expect("a draft").current();
        let Ok(message) = draft.check(&Limits::default(), NOW) else { continue };
        let outgoing = Outgoing {
            id,
            sender: message.from.address.to_string(),
            recipients: message.envelope(),
            raw: render(&message, id, NOW).expect("what is accepted can be rendered"),
            smtputf8: message.needs_smtputf8(),
        };
        return (draft, outgoing);
    }
}

/// The addresses alone of everyone who is to get a draft.
fn recipients(draft: &Draft) -> BTreeSet<&str> {
    let address = |text: &'_ String| {
        let from = text.rfind('<').map_or(0, |at| at + 1);
        from..text.len() - usize::from(from > 0)
    };
    draft.to.iter().chain(&draft.cc).chain(&draft.bcc).map(|text| &text[address(text)]).collect()
}

fn assert_accepted(report: &Report) {
    let Verdict::Answered(outcomes) = &report.verdict else { panic!("{report:?}") };
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Accepted(_))), "{report:?}");
}

fn assert_refused_unsent(report: &Report) {
    let Verdict::Answered(outcomes) = &report.verdict else { panic!("{report:?}") };
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Refused(_))), "{report:?}");
    assert!(!report.dot_sent);
}

/// That what came in is what the draft asked for, to whom it asked for.
fn assert_arrived(draft: &Draft, message: &Outgoing, received: &Received) {
    let octets = Octets(&received.raw);
    octets.assert_unmistakable();
    octets.assert_discreet(draft);
    assert!(octets.unstuffed() == message.raw, "other octets than were rendered");
    let reached: BTreeSet<&str> = received.recipients.iter().map(String::as_str).collect();
    assert_eq!(reached, recipients(draft));
    assert_eq!(received.recipients.len(), reached.len(), "nobody twice");
}

/// Sends a draft to a server that offers everything and to one that offers nothing. Returns whether the second took it.
async fn send(draft: &Draft, message: &Outgoing, able: &Relay, plain: &Relay) -> bool {
    let (to_able, to_plain) =
        tokio::join!(able.transport.send(message, &Open), plain.transport.send(message, &Open));
    assert_accepted(&to_able);
    assert_arrived(draft, message, &able.received(message));
    if message.smtputf8 {
        assert_refused_unsent(&to_plain);
        return false;
    }
    assert_accepted(&to_plain);
    let received = plain.received(message);
    assert_arrived(draft, message, &received);
    assert!(received.raw.is_ascii(), "7-bit only");
    true
}

/// Says which draft it was when a check of it fails.
struct Naming(usize);

impl Drop for Naming {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("that was draft {}", self.0);
        }
    }
}

/// Takes one number after the other until all are taken. Returns how many messages the second server took.
fn send_all(next: &AtomicUsize, runtime: &Runtime, able: &Relay, plain: &Relay) -> usize {
    let (drafts, mut plain_took) = (hostile(), 0);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= MESSAGES {
            return plain_took;
        }
        let _naming = Naming(number);
        let (draft, message) = made_up(number, &drafts);
        plain_took += usize::from(runtime.block_on(send(&draft, &message, able, plain)));
    }
}

#[test]
fn ten_thousand_messages_go_over_the_wire_as_they_were_rendered() {
    let runtime = Runtime::new().expect("a runtime");
    let able = runtime.block_on(Relay::offering(&["8BITMIME", "SMTPUTF8", "PIPELINING", "SIZE"]));
    let plain = runtime.block_on(Relay::offering(&[]));
    let next = AtomicUsize::new(0);
    // Threads rather than tasks, since drafts are made up by what cannot be sent between threads.
    let plain_took: usize = thread::scope(|scope| {
        let send = || scope.spawn(|| send_all(&next, &runtime, &able, &plain));
        let threads: Vec<_> = (0..AT_ONCE).map(|_| send()).collect();
        threads.into_iter().map(|thread| thread.join().expect("every message goes as it should")).sum()
    });
    assert_eq!((able.sink.messages().len(), plain.sink.messages().len()), (MESSAGES, plain_took));
    able.assert_nothing_else_was_said();
    plain.assert_nothing_else_was_said();
}
