//! Mail by SMTP (RFC 5321), handed to one relay or to the first of several that takes any.
//!
//! The conversation is our own, because the promise needs what mail libraries do not give: an answer for every
//! recipient, a report whether the final dot was sent, a gate before it, a deadline on everything, and no connection
//! that is used again after anything strange.
//!
//! | | |
//! | --- | --- |
//! | `relay_url`, `timeouts`, `deadlines` | what is set |
//! | `tally` | why no relay took a message |
//! | `relay` | one relay: `pool` of idle connections, `breaker` with its `allowance`, `pace`, limited `senders`, `quirks` |
//! | `session` | a connection from DNS to AUTH, over `stream`, with `tls`, `capabilities`, `auth` |
//! | `transaction` | one message: `envelope`, then `data` |
//! | `wire`, `reply` | octets with deadlines, replies within bounds |

mod allowance;
mod auth;
mod breaker;
mod capabilities;
mod data;
mod deadlines;
mod envelope;
mod pace;
mod pool;
mod quirks;
mod relay;
mod relay_url;
mod reply;
mod senders;
mod session;
mod stream;
mod tally;
mod timeouts;
mod tls;
mod transaction;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, select_all};
use tokio::time::{Instant, timeout_at};

use self::relay::{Need, Relay};
pub use self::relay_url::{RelayUrl, RelayUrlError};
use self::tally::Tally;
pub use self::timeouts::Timeouts;
pub use self::tls::TlsError;
use crate::contracts::transport::{Gate, Outgoing, Transport};
use crate::domain::report::Report;

/// Why no SMTP transport can be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No relay was given.
    #[error("there is no relay to send to")]
    NoRelay,
    /// TLS is wanted and cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Sends by SMTP to the first relay that takes messages.
///
/// The next relay is tried only when it is certain that the one before took no message at all: once the gate was asked,
/// there is no other. Connections are kept between messages, and each relay is left alone for a while after a fault.
///
/// Nobody waits for a relay that is being tried, or that is given fewer messages than it may have, while another one
/// can be used; and what one of them cannot take by its own account is refused only when none of them can.
#[derive(Debug)]
pub struct SmtpTransport {
    relays: Vec<Arc<Relay>>,
    slot: Duration,
}

impl SmtpTransport {
    /// Gets ready to send to `relays`, to be tried in this order. Reads certificates, which blocks for some
    /// milliseconds; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when there is no relay, or when one wants TLS and there are no certificates to trust.
    pub fn open(relays: Vec<RelayUrl>, timeouts: Timeouts) -> Result<Self, OpenError> {
        if relays.is_empty() {
            return Err(OpenError::NoRelay);
        }
        let relays = relays.into_iter().map(|url| Relay::new(url, timeouts).map(Arc::new));
        Ok(Self { relays: relays.collect::<Result<_, _>>()?, slot: timeouts.slot })
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        let need = Need { is_only: self.relays.len() == 1, slot_by: Instant::now() + self.slot };
        loop {
            let mut tally = Tally::default();
            for relay in &self.relays {
                match relay.send(message, gate, need).await {
                    Ok(report) => return report,
                    Err(declined) => tally.add(relay, declined),
                }
            }
            if tally.busy.is_empty() {
                return tally.report(message);
            }
            let any = select_all(tally.busy.iter().map(|relay| Box::pin(relay.ready())));
            if timeout_at(need.slot_by, any).await.is_err() {
                return tally.report(message);
            }
        }
    }

    async fn ready(&self) -> usize {
        loop {
            let room = self.relays.iter().fold(0_usize, |room, relay| room.saturating_add(relay.room()));
            if room > 0 {
                return room;
            }
            select_all(self.relays.iter().map(|relay| Box::pin(relay.ready()))).await;
        }
    }

    async fn close(&self) {
        join_all(self.relays.iter().map(|relay| relay.close())).await;
    }
}
