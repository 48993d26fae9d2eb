//! Answers of a script.

use std::time::Duration;

/// The reaction of the sink to an [`Event`](super::Event).
///
/// The sink believes its own replies. A 2xx to MAIL opens a transaction, to RCPT takes the recipient, to
/// the dot takes the message; 354 to DATA begins the body; 220 to STARTTLS begins the handshake; 235 to
/// AUTH lets the client in; after any other code nothing of the kind happens. A message that is going to
/// be taken is recorded before anything else is done, a delay or a hold included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// The reaction of an ordinary server.
    #[default]
    Default,
    /// This reply, CRLF appended. Several lines are separated by CRLF.
    Reply(String),
    /// These bytes and nothing else: not UTF-8, without CR, half a line, two replies.
    Bytes(Vec<u8>),
    /// This reply, CRLF appended, then end of file.
    ReplyThenClose(String),
    /// This reply, CRLF appended, then a reset. At [`Phase::Body`](super::Phase::Body) it is an early
    /// refusal, in the middle of the body.
    ReplyThenReset(String),
    /// End of file instead of a reply.
    Close,
    /// A reset (RST) instead of a reply.
    Reset,
    /// No answer ever. What the client sends meanwhile goes into the transcript.
    Hang,
    /// At the dot: the message is taken, 250, then a reset. Elsewhere: the ordinary reply, then a reset.
    AcceptThenReset,
    /// At the dot: the message is taken, then end of file without a reply. Elsewhere: as `Close`.
    RecordThenClose,
    /// The inner action, after this time.
    Delay(Duration, Box<Action>),
    /// The inner action, after the next [`SmtpSink::release`](super::SmtpSink::release).
    Hold(Box<Action>),
    /// The inner action, its reply one byte at a time with this long before each.
    Drip(Duration, Box<Action>),
}

impl Action {
    /// [`Action::Reply`] from whatever is text.
    pub fn reply(text: impl Into<String>) -> Self {
        Self::Reply(text.into())
    }

    /// This action, after `time`.
    pub fn delayed(self, time: Duration) -> Self {
        Self::Delay(time, Box::new(self))
    }

    /// This action, after the next [`SmtpSink::release`](super::SmtpSink::release).
    pub fn held(self) -> Self {
        Self::Hold(Box::new(self))
    }

    /// This action, its reply one byte at a time with `interval` before each.
    pub fn dripped(self, interval: Duration) -> Self {
        Self::Drip(interval, Box::new(self))
    }
}

/// An action resolved against the reply that an ordinary server would give.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) waits: Vec<Wait>,
    pub(super) drip: Option<Duration>,
    pub(super) reply: Vec<u8>,
    pub(super) then: Then,
    /// Set when the message is taken although no 2xx says so.
    pub(super) silently_taken: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    For(Duration),
    ForRelease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Close,
    Reset,
    Hang,
}

impl Plan {
    /// `ordinary` is the ordinary reply, without its last CRLF; empty where an ordinary server is silent.
    pub(super) fn new(mut action: Action, ordinary: &str) -> Self {
        let (mut waits, mut drip) = (Vec::new(), None);
        let action = loop {
            action = match action {
                Action::Delay(time, inner) => {
                    waits.push(Wait::For(time));
                    *inner
                }
                Action::Hold(inner) => {
                    waits.push(Wait::ForRelease);
                    *inner
                }
                Action::Drip(interval, inner) => {
                    drip = Some(interval);
                    *inner
                }
                simple => break simple,
            };
        };
        let silently_taken = action == Action::RecordThenClose;
        let (reply, then) = simple(action, ordinary);
        Self { waits, drip, reply, then, silently_taken }
    }

    /// The code of the reply; 0 if there is none.
    pub(super) fn code(&self) -> u16 {
        let digits = self.reply.get(..3).and_then(|code| std::str::from_utf8(code).ok());
        digits.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub(super) fn is_positive(&self) -> bool {
        (200..300).contains(&self.code())
    }
}

fn simple(action: Action, ordinary: &str) -> (Vec<u8>, Then) {
    match action {
        Action::Reply(text) => (with_line_end(&text), Then::GoOn),
        Action::Bytes(bytes) => (bytes, Then::GoOn),
        Action::ReplyThenClose(text) => (with_line_end(&text), Then::Close),
        Action::ReplyThenReset(text) => (with_line_end(&text), Then::Reset),
        Action::Close | Action::RecordThenClose => (Vec::new(), Then::Close),
        Action::Reset => (Vec::new(), Then::Reset),
        Action::Hang => (Vec::new(), Then::Hang),
        Action::AcceptThenReset => (with_line_end(ordinary), Then::Reset),
        // The default alone: the loop above has taken the wrappers off.
        _ => (with_line_end(ordinary), Then::GoOn),
    }
}

fn with_line_end(text: &str) -> Vec<u8> {
    if text.is_empty() { Vec::new() } else { format!("{text}\r\n").into_bytes() }
}
