//! The record of a sink.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Credentials, Phase};

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Received {
    /// The order in which messages were taken, from 1.
    pub number: usize,
    /// The connection it came by.
    pub connection: usize,
    /// The number of its transaction on that connection, from 1.
    pub message: usize,
    /// The envelope sender; empty for the null sender.
    pub sender: String,
    /// The recipients that were accepted, in order.
    pub recipients: Vec<String>,
    /// The parameters of MAIL as they were given, for instance `SIZE=120`.
    pub parameters: Vec<String>,
    /// MAIL's SIZE parameter.
    pub size: Option<usize>,
    /// MAIL's BODY parameter, in capitals.
    pub body_type: Option<String>,
    /// Set when MAIL had the SMTPUTF8 parameter.
    pub smtputf8: bool,
    /// Set when TLS was active.
    pub tls: bool,
    /// The credentials of the client.
    pub credentials: Option<Credentials>,
    /// The message as the recipient gets it.
    pub body: Bytes,
    /// The bytes between 354 and the final dot, dots still stuffed.
    pub raw: Bytes,
    /// When the final dot came.
    pub at: Instant,
}

impl Received {
    /// The body's SHA-256 in hexadecimal, to compare copies by.
    pub fn digest(&self) -> String {
        Sha256::digest(&self.body).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The body as text, what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One line of a conversation, without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The client's.
    Client(String),
    /// The sink's.
    Server(String),
    /// What happened that is no line: a body, a handshake, the end.
    Note(String),
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(line) => write!(formatter, "C: {line}"),
            Self::Server(line) => write!(formatter, "S: {line}"),
            Self::Note(line) => write!(formatter, "({line})"),
        }
    }
}

/// The events on one connection.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// How many messages were taken.
    pub messages: usize,
    /// Every login that was tried.
    pub logins: Vec<Credentials>,
    /// Set once TLS became active.
    pub tls: bool,
    /// Set once the connection has ended.
    pub ended: bool,
}

impl Conversation {
    /// The client's lines alone.
    pub fn commands(&self) -> Vec<String> {
        let client = self.lines.iter().filter_map(|line| match line {
            Line::Client(line) => Some(line.clone()),
            Line::Server(_) | Line::Note(_) => None,
        });
        client.collect()
    }
}

/// Everything that a sink has seen since it was built, stops and starts included.
#[derive(Debug, Default)]
pub struct Record {
    /// The messages taken, in order.
    pub messages: Vec<Received>,
    /// The connections, the first of which has number 1.
    pub conversations: Vec<Conversation>,
    /// How many connections are open.
    pub open: usize,
    /// The most connections that were ever open at once.
    pub concurrent_peak: usize,
    /// How many clients are waiting for a release.
    pub held: usize,
    /// How many connections have hung.
    pub hung: usize,
    /// How many bodies were begun (354 was said) and ended without a final dot.
    pub aborted: usize,
    /// What clients did that the protocol or the capabilities offered do not allow, a sentence each.
    pub violations: Vec<String>,
    pub(super) fault: Option<String>,
    seen: HashMap<(Phase, String), usize>,
}

impl Record {
    /// How many times `phase` was seen with `address` (see [`Event::address`](super::Event::address)).
    pub fn times_seen(&self, phase: Phase, address: &str) -> usize {
        self.seen.get(&(phase, address.to_owned())).copied().unwrap_or(0)
    }

    /// How many times `phase` was seen with any address.
    pub fn count(&self, phase: Phase) -> usize {
        self.seen.iter().filter(|((seen, _), _)| *seen == phase).map(|(_, times)| times).sum()
    }

    pub(super) fn see(&mut self, phase: Phase, address: &str) -> usize {
        let times = self.seen.entry((phase, address.to_owned())).or_default();
        *times += 1;
        *times
    }

    pub(super) fn connected(&mut self) -> usize {
        self.conversations.push(Conversation::default());
        self.open += 1;
        self.concurrent_peak = self.concurrent_peak.max(self.open);
        self.conversations.len()
    }

    pub(super) fn conversation(&mut self, connection: usize) -> &mut Conversation {
        &mut self.conversations[connection - 1]
    }

    pub(super) fn take(&mut self, mut message: Received) {
        message.number = self.messages.len() + 1;
        self.conversation(message.connection).messages += 1;
        self.messages.push(message);
    }

    /// What a test that waited in vain wants to know.
    pub(super) fn summary(&self) -> String {
        let last = self.conversations.iter().enumerate().rev().take(3).map(|(index, conversation)| {
            let tail = &conversation.lines[conversation.lines.len().saturating_sub(12)..];
            let lines: String = tail.iter().map(|line| format!("\n    {line}")).collect();
            format!("\n  connection {}:{lines}", index + 1)
        });
        format!(
            "{} messages, {} connections ({} open, {} held, {} hung), {} aborted, violations {:?}; the last connections:{}",
            self.messages.len(),
            self.conversations.len(),
            self.open,
            self.held,
            self.hung,
            self.aborted,
            self.violations,
            last.collect::<String>()
        )
    }
}
