//! The reason why a message was not sent, in one word of a closed set.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, AttemptOutcome};
use super::report::{RelayFault, Reply};

/// The reason why a message was not sent. It is read from the enhanced status code (RFC 3463), and where there is none from
/// the reply code.
///
/// ```
/// use mailqueue_core::domain::reason::Reason;
/// use mailqueue_core::domain::report::Reply;
///
/// assert_eq!(Reason::of_reply(&Reply::new(Some(550), "5.1.1 no such user")), Reason::MailboxUnavailable);
/// assert_eq!("dns".parse(), Ok(Reason::Dns));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A name did not resolve.
    Dns,
    /// Nobody listened, or the route was missing.
    Connect,
    /// TLS failed, or was required and not offered.
    Tls,
    /// The credentials were refused or missing.
    Auth,
    /// The server takes no mail from a new sender at once.
    Greylisted,
    /// The server asked for patience.
    Throttled,
    /// There is no such mailbox, or it is disabled or busy.
    MailboxUnavailable,
    /// The mailbox has no room.
    MailboxFull,
    /// The address is not one that the server can deliver to.
    InvalidRecipient,
    /// The message is larger than the server takes.
    TooLarge,
    /// The content was refused.
    Content,
    /// The server's rules forbid it: spam, a block list, a missing right.
    Policy,
    /// A command was not understood, or the protocol was broken.
    Protocol,
    /// An answer did not come.
    Timeout,
    /// The worker's lease ran out without a result.
    LeaseLost,
    /// Anything else.
    Other,
}

/// The error for a text that names no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be dns, connect, tls, auth, greylisted, throttled, mailbox_unavailable, mailbox_full, invalid_recipient, \
     too_large, content, policy, protocol, timeout, lease_lost or other"
)]
pub struct ReasonError;

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 16] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Auth,
        Self::Greylisted,
        Self::Throttled,
        Self::MailboxUnavailable,
        Self::MailboxFull,
        Self::InvalidRecipient,
        Self::TooLarge,
        Self::Content,
        Self::Policy,
        Self::Protocol,
        Self::Timeout,
        Self::LeaseLost,
        Self::Other,
    ];

    /// The word used in records, metrics and searches.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Greylisted => "greylisted",
            Self::Throttled => "throttled",
            Self::MailboxUnavailable => "mailbox_unavailable",
            Self::MailboxFull => "mailbox_full",
            Self::InvalidRecipient => "invalid_recipient",
            Self::TooLarge => "too_large",
            Self::Content => "content",
            Self::Policy => "policy",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::LeaseLost => "lease_lost",
            Self::Other => "other",
        }
    }

    /// The reason behind a negative reply.
    #[must_use]
    pub fn of_reply(reply: &Reply) -> Self {
        if is_greylisting(&reply.text) {
            return Self::Greylisted;
        }
        if reply.is_throttling() {
            return Self::Throttled;
        }
        match (enhanced(&reply.text), reply.code) {
            (Some((subject, detail)), _) => of_enhanced(subject, detail),
            (None, Some(code)) => of_code(code),
            (None, None) if reply.is_silence() => Self::Timeout,
            (None, None) => Self::Other,
        }
    }

    /// The reason behind a fault of a relay.
    #[must_use]
    pub fn of_fault(fault: RelayFault) -> Self {
        match fault {
            RelayFault::Dns => Self::Dns,
            RelayFault::Connect => Self::Connect,
            RelayFault::Tls => Self::Tls,
            RelayFault::Auth => Self::Auth,
            RelayFault::Greeting => Self::Policy,
            RelayFault::Throttled | RelayFault::SenderLimited => Self::Throttled,
            RelayFault::Protocol => Self::Protocol,
            RelayFault::BreakerOpen | RelayFault::Paused => Self::Other,
        }
    }

    /// The reason why an attempt did not succeed wholly; `None` for one that did.
    #[must_use]
    pub fn of_attempt(attempt: &Attempt) -> Option<Self> {
        Self::of_outcome(attempt.outcome, attempt.fault, attempt.reply.as_ref())
    }

    /// The same from the parts of an attempt.
    #[must_use]
    pub(crate) fn of_outcome(
        outcome: AttemptOutcome,
        fault: Option<RelayFault>,
        reply: Option<&Reply>,
    ) -> Option<Self> {
        Some(match (outcome, fault) {
            (AttemptOutcome::Sent, _) => return None,
            (AttemptOutcome::LeaseLost, _) => Self::LeaseLost,
            (AttemptOutcome::Ambiguous, _) => Self::Timeout,
            (_, Some(RelayFault::Protocol)) if reply.is_some_and(Reply::is_silence) => Self::Timeout,
            (_, Some(fault)) => Self::of_fault(fault),
            (_, None) => reply.map_or(Self::Other, Self::of_reply),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(ReasonError)
    }
}

/// True for the words by which servers say so: no code stands for it alone.
fn is_greylisting(text: &str) -> bool {
    let has = |word: &str| {
        text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    has("greylist") || has("graylist")
}

/// Subject and detail of an enhanced status code at the beginning of a text.
fn enhanced(text: &str) -> Option<(u16, u16)> {
    let code = text.split_whitespace().next()?;
    let mut parts = code.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(class, "4" | "5") || parts.next().is_some() {
        return None;
    }
    Some((subject.parse().ok()?, detail.parse().ok()?))
}

fn of_enhanced(subject: u16, detail: u16) -> Reason {
    match (subject, detail) {
        (1, 1 | 6 | 10) | (2, 0 | 1) => Reason::MailboxUnavailable,
        (1, 7 | 8) => Reason::Policy,
        (1, _) => Reason::InvalidRecipient,
        (2, 2) | (3, 1) => Reason::MailboxFull,
        (2, 3) | (3, 4) => Reason::TooLarge,
        (4, 1 | 2) => Reason::Connect,
        (4, 3 | 4) => Reason::Dns,
        (4, 7) => Reason::Timeout,
        (5, _) => Reason::Protocol,
        (6, _) => Reason::Content,
        (7, 8 | 9 | 11) => Reason::Auth,
        (7, 10) => Reason::Tls,
        (7, _) => Reason::Policy,
        _ => Reason::Other,
    }
}

fn of_code(code: u16) -> Reason {
    match code {
        450 | 550 => Reason::MailboxUnavailable,
        452 | 552 => Reason::MailboxFull,
        500..=504 => Reason::Protocol,
        530 | 534 | 535 | 538 => Reason::Auth,
        551 | 553 | 556 => Reason::InvalidRecipient,
        554 => Reason::Policy,
        _ => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_by_their_enhanced_code() {
        for (code, text, reason) in [
            (550, "5.1.1 no such user", Reason::MailboxUnavailable),
            (552, "5.2.2 over quota", Reason::MailboxFull),
            (554, "5.7.1 spam", Reason::Policy),
            (452, "4.3.1 disk", Reason::MailboxFull),
            (552, "5.3.4 too big", Reason::TooLarge),
            (450, "4.2.0 Greylisted, try again", Reason::Greylisted),
            (421, "4.7.0 slow down", Reason::Throttled),
            (550, "5.7.26 unauthenticated", Reason::Policy),
            (550, "no", Reason::MailboxUnavailable),
            (554, "5.1.1.1 odd", Reason::Policy),
            (571, "what", Reason::Other),
        ] {
            assert_eq!(Reason::of_reply(&Reply::new(Some(code), text)), reason, "{code} {text}");
        }
    }

    #[test]
    fn silence_is_a_matter_of_time() {
        let silence = Reply::new(None, Reply::SILENCE);
        assert_eq!(Reason::of_reply(&silence), Reason::Timeout);
        let of = |reply: &Reply| {
            Reason::of_outcome(AttemptOutcome::RelayFault, Some(RelayFault::Protocol), Some(reply))
        };
        assert_eq!(of(&silence), Some(Reason::Timeout));
        assert_eq!(of(&Reply::new(None, "the relay closed the connection")), Some(Reason::Protocol));
    }

    #[test]
    fn every_reason_reads_back() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
    }
}
