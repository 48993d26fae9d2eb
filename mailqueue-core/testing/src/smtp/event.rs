//! Events that a script is asked about.

use bytes::Bytes;

use super::Credentials;

/// A moment at which the sink is about to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// A connection came in (and its TLS handshake is done, if TLS is implicit); the greeting is next.
    Connect,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS, before the handshake.
    StartTls,
    /// AUTH, once the credentials are known.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT, once for each.
    Rcpt,
    /// DATA, before the 354.
    Data,
    /// A piece of the body came in: at least once a message, before its [`Phase::Dot`].
    Body,
    /// The final dot came in.
    Dot,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
}

/// One such moment and its circumstances.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which moment.
    pub phase: Phase,
    /// The connection's number, from 1, in the order of arrival at this sink.
    pub connection: usize,
    /// How many connections are open, this one included.
    pub open: usize,
    /// The number of this transaction on its connection: 0 before the first MAIL, then from 1.
    pub message: usize,
    /// The command as it came, without its line end; empty for Connect, Body and Dot.
    pub line: String,
    /// Mail: the sender. Rcpt: the recipient. Data, Body and Dot: the first accepted recipient. Auth: the
    /// user. Else empty.
    pub address: String,
    /// How many times this sink has seen this phase with this address, now included: 1 the first time.
    pub times_seen: usize,
    /// Set when TLS is active.
    pub tls: bool,
    /// The sender of the open transaction, empty if there is none or it is the null sender.
    pub sender: String,
    /// The recipients accepted so far in the open transaction.
    pub recipients: Vec<String>,
    /// Body: the piece that came in just now, dots still stuffed. Dot: the whole message, unstuffed. Else
    /// empty.
    pub body: Bytes,
    /// Body and Dot: how many bytes of the body have come in so far, dots still stuffed. Else 0.
    pub size: usize,
    /// Auth: what the client offers. Later: what it was let in with.
    pub credentials: Option<Credentials>,
}

impl Event {
    /// True when this is the first time that the sink sees this phase with this address.
    pub fn is_first(&self) -> bool {
        self.times_seen == 1
    }

    /// The address up to its last `@`.
    pub fn local_part(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(local, _)| local)
    }

    /// True when `needle` stands in the body.
    pub fn body_contains(&self, needle: &str) -> bool {
        memchr::memmem::find(&self.body, needle.as_bytes()).is_some()
    }
}
