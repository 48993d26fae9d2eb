//! What a transport says about one attempt.

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
    /// How much of a text is kept, in octets.
    pub const TEXT_LIMIT: usize = 512;

    /// A reply with its text cut to the limit.
    #[must_use]
    pub fn new(code: Option<u16>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(Self::TEXT_LIMIT));
        Self { code, text }
    }
}

/// What one attempt meant for one recipient.
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

/// Why a relay can take no message at all. Says nothing about the message that met it.
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
    /// It asked for patience: 421, or 4.7.x before a recipient was named.
    Throttled,
    /// It broke the protocol or fell silent before the message was begun.
    Protocol,
    /// It was left alone because of earlier faults.
    BreakerOpen,
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
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The message was put to a relay: one outcome for each recipient asked for.
    Answered(Vec<(Address, Outcome)>),
    /// No relay could take any message. Nothing was sent, and the attempt does not count.
    Fault {
        /// The fault of the last relay tried.
        fault: RelayFault,
        /// What it said.
        reply: Reply,
        /// How long to leave it alone.
        retry_after: std::time::Duration,
    },
    /// The gate before the final dot stayed shut. Nothing was sent, and the attempt does not count.
    Withheld,
}

/// What a transport says about one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The relay that was spoken to, without credentials: `smtp://mail.example.com:587`.
    pub relay: Option<String>,
    /// Whether the final dot was sent. If not, no copy can exist.
    pub dot_sent: bool,
    /// How it ended.
    pub verdict: Verdict,
}
