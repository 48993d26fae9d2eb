//! The report of a transport on one attempt.

use serde::{Deserialize, Serialize};

use super::address::Address;

/// An answer of a server, or the sentence that stands for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The SMTP reply code; `None` when no answer was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// The text without its code, at most [`Reply::TEXT_LIMIT`] octets. It may name a recipient: it belongs in the
    /// record, never in a log.
    pub text: String,
}

impl Reply {
    /// The longest text that is kept, in octets.
    pub const TEXT_LIMIT: usize = 512;

    /// The text where no answer came in time.
    pub const SILENCE: &str = "no answer in time";

    /// A reply with its text cut to the limit.
    #[must_use]
    pub fn new(code: Option<u16>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(Self::TEXT_LIMIT));
        Self { code, text }
    }

    /// True if the server asks everybody for patience, not only this message: 421, 432 (as Office 365 says it), 454 (as
    /// Amazon SES says it), or a system that takes no mail (4.3.2) or is congested (4.4.5), as RFC 3463 has it.
    #[must_use]
    pub fn is_pressure(&self) -> bool {
        matches!(self.code, Some(421 | 432 | 454))
            || self.is_transient() && (self.has_status("4.3.2") || self.has_status("4.4.5"))
    }

    /// True if the server asks for patience, with this message or with everybody: [pressure](Self::is_pressure), or
    /// security and policy of RFC 3463, 4.7.x, for now.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        self.is_pressure() || self.is_transient() && self.text.starts_with("4.7.")
    }

    /// True if the server takes no more recipients in this transaction but would in a further one (RFC 5321 section 4.5.3.1.10).
    #[must_use]
    pub fn is_one_too_many(&self) -> bool {
        match self.code {
            // Without an enhanced code 452 is read so; with another one it speaks of storage.
            Some(452) => self.has_status("4.5.3") || !self.text.starts_with("4."),
            // Old servers say 552 where 452 is meant (RFC 5321 section 4.5.3.1.10).
            Some(552) => self.has_status("5.5.3"),
            _ => false,
        }
    }

    /// True if no answer came in time.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        self.code.is_none() && self.text.ends_with(Self::SILENCE)
    }

    fn is_transient(&self) -> bool {
        self.code.is_some_and(|code| code / 100 == 4)
    }

    /// True if the text begins with this enhanced status code (RFC 2034).
    fn has_status(&self, status: &str) -> bool {
        // A further digit is another code: 4.3.20 is not 4.3.2.
        self.text.strip_prefix(status).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    }
}

/// The outcome of one attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has taken the message for this recipient: a 250 after the final dot.
    Accepted(Reply),
    /// Not taken now; a later attempt may succeed.
    Deferred(Reply),
    /// Not taken, and a later attempt would not be either.
    Refused(Reply),
    /// The final dot was sent and no answer to it was read: the server may have taken the message.
    Ambiguous(Reply),
}

impl Outcome {
    /// The answer behind it.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Accepted(reply) | Self::Deferred(reply) | Self::Refused(reply) | Self::Ambiguous(reply) => {
                reply
            }
        }
    }
}

/// The fault for which a relay can take no message at all. It says nothing about the message that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayFault {
    /// Its name does not resolve.
    Dns,
    /// Nobody listens, the route is missing, or the connection attempt timed out.
    Connect,
    /// The TLS handshake or the certificate failed, or TLS is required and not offered.
    Tls,
    /// It refused the credentials or asks for some.
    Auth,
    /// It greeted or answered EHLO with a refusal.
    Greeting,
    /// It asked everybody for patience: 421, or 4.7.x instead of a greeting, or [pressure](Reply::is_pressure) before a
    /// recipient was named.
    Throttled,
    /// It broke the protocol or fell silent before the message was begun.
    Protocol,
    /// It was left alone because of earlier faults.
    BreakerOpen,
    /// It throttled this sender a short while ago, so the message was not sent to it.
    SenderLimited,
    /// An operator has paused it.
    Paused,
}

impl RelayFault {
    /// The word used in logs, metrics and the attempt log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Greeting => "greeting",
            Self::Throttled => "throttled",
            Self::Protocol => "protocol",
            Self::BreakerOpen => "breaker_open",
            Self::SenderLimited => "sender_limited",
            Self::Paused => "paused",
        }
    }

    /// True if a relay was tried. If not, the fault that is the reason stands on record already.
    #[must_use]
    pub fn was_tried(self) -> bool {
        !matches!(self, Self::BreakerOpen | Self::SenderLimited | Self::Paused)
    }
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The message was put to a relay: one outcome for each recipient asked for.
    Answered(Vec<(Address, Outcome)>),
    /// No relay could take any message. Nothing was sent, and the attempt does not count.
    Fault {
        /// The fault of the last relay tried.
        fault: RelayFault,
        /// Its reply.
        reply: Reply,
        /// The time to leave it alone.
        retry_after: std::time::Duration,
    },
    /// The gate before the final dot stayed shut. Nothing was sent, and the attempt does not count.
    Withheld,
}

/// The report of a transport on one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The relay that was spoken to, without credentials: `smtp://mail.example.com:587`.
    pub relay: Option<String>,
    /// True if the final dot was sent. If not, no copy can exist.
    pub dot_sent: bool,
    /// Its outcome.
    pub verdict: Verdict,
}

impl Report {
    /// The same with codes alone where servers' texts stood, and without the relay's name.
    #[must_use]
    pub fn without_texts(&self) -> Self {
        let bare = |reply: &Reply| Reply::new(reply.code, "");
        let verdict = match &self.verdict {
            Verdict::Answered(outcomes) => Verdict::Answered(
                outcomes
                    .iter()
                    .map(|(address, outcome)| {
                        let outcome = match outcome {
                            Outcome::Accepted(reply) => Outcome::Accepted(bare(reply)),
                            Outcome::Deferred(reply) => Outcome::Deferred(bare(reply)),
                            Outcome::Refused(reply) => Outcome::Refused(bare(reply)),
                            Outcome::Ambiguous(reply) => Outcome::Ambiguous(bare(reply)),
                        };
                        (address.clone(), outcome)
                    })
                    .collect(),
            ),
            Verdict::Fault { fault, reply, retry_after } => {
                Verdict::Fault { fault: *fault, reply: bare(reply), retry_after: *retry_after }
            }
            Verdict::Withheld => Verdict::Withheld,
        };
        Self { relay: None, dot_sent: self.dot_sent, verdict }
    }
}
