//! How messages are sent.

use async_trait::async_trait;
use bytes::Bytes;

use super::relay_health::RelayHealth;
use crate::domain::address::Address;
use crate::domain::id::MessageId;
use crate::domain::report::Report;

/// Sends one message at a time for each call; many calls run at once.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = mailqueue_core::connect::transport(&"file://outbox".into())?;
/// assert!(transport.ready().await >= 1, "it takes messages at once");
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a message to its recipients, or says why not.
    ///
    /// At most one copy leaves, and none unless `gate` has answered `true` right before the final dot. The report
    /// answers for every recipient, and `dot_sent` is `false` only if certainly no copy left. If the future
    /// is dropped before the gate was asked, no copy leaves.
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report;

    /// Returns when a message may be started: at once, or when a relay that was left alone may be tried again. Says how
    /// many may be, at least one: more would only wait, while others could send them.
    async fn ready(&self) -> usize;

    /// True while nothing is known against the relays: a message that waits here for a moment will be taken. Default:
    /// always.
    fn is_untroubled(&self) -> bool {
        true
    }

    /// The health of its relays, in the order in which they are tried. Default: none are known.
    fn relays(&self) -> Vec<RelayHealth> {
        Vec::new()
    }

    /// Takes no message to the relays of these names (as in [`RelayHealth::name`], in lower case) from now on, and to all
    /// others again. Messages that are being sent go on. While all are paused, [`ready`](Self::ready) waits. Default:
    /// nothing, for a transport without relays.
    fn pause_relays(&self, _names: &[String]) {}

    /// Closes the connections that are idle. Returns within seconds; `send` still works afterwards.
    async fn close(&self) {}
}

/// Stands before the final dot.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Asks to send the final dot. `true`: the lease is held, the permission is on record, and there is time.
    async fn may_send_dot(&self) -> bool;
}

/// A message as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id.
    pub id: MessageId,
    /// The sender of the envelope.
    pub sender: String,
    /// The recipients this attempt is for, at least one.
    pub recipients: Vec<Address>,
    /// The message, lines ending in CRLF, dots not stuffed.
    pub raw: Bytes,
    /// The message needs a server that offers SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
}
