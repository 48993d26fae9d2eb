//! Mail by SMTP (RFC 5321), handed to one relay or to the first of several that takes any.
//!
//! The conversation is our own, because the promise needs what mail libraries do not give: an answer for every
//! recipient, a report whether the final dot was sent, a gate before it, a deadline on everything, and no connection
//! that is used again after anything strange.
//!
//! | | |
//! | --- | --- |
//! | `relay_url`, `timeouts`, `deadlines` | what is set |
//! | `relay` | one relay: `pool` of idle connections, `breaker`, `pace` |
//! | `session` | a connection from DNS to AUTH, over `stream`, with `tls`, `capabilities`, `auth` |
//! | `transaction` | one message: `envelope`, then `data` |
//! | `wire`, `reply` | octets with deadlines, replies within bounds |

mod auth;
mod breaker;
mod capabilities;
mod data;
mod deadlines;
mod envelope;
mod pace;
mod pool;
mod relay;
mod relay_url;
mod reply;
mod session;
mod stream;
mod timeouts;
mod tls;
mod transaction;
mod wire;

use async_trait::async_trait;
use futures_util::future::{join_all, select_all};

use self::relay::{Relay, Unavailable};
pub use self::relay_url::{RelayUrl, RelayUrlError};
pub use self::timeouts::Timeouts;
pub use self::tls::TlsError;
use crate::contracts::transport::{Gate, Outgoing, Transport};
use crate::domain::report::{RelayFault, Report};

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
#[derive(Debug)]
pub struct SmtpTransport {
    first: Relay,
    others: Vec<Relay>,
}

impl SmtpTransport {
    /// Gets ready to send to `relays`, to be tried in this order. Reads certificates, which blocks for some
    /// milliseconds; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when there is no relay, or when one wants TLS and there are no certificates to trust.
    pub fn open(relays: Vec<RelayUrl>, timeouts: Timeouts) -> Result<Self, OpenError> {
        let mut relays = relays.into_iter().map(|url| Relay::new(url, timeouts));
        let first = relays.next().ok_or(OpenError::NoRelay)??;
        Ok(Self { first, others: relays.collect::<Result<_, _>>()? })
    }

    /// In the order in which they are tried.
    fn relays(&self) -> impl Iterator<Item = &Relay> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        let mut failed = match self.first.send(message, gate).await {
            Ok(report) => return report,
            Err(unavailable) => (&self.first, unavailable),
        };
        let mut soonest = failed.1.retry_after;
        for relay in &self.others {
            let unavailable = match relay.send(message, gate).await {
                Ok(report) => return report,
                Err(unavailable) => unavailable,
            };
            soonest = soonest.min(unavailable.retry_after);
            // One that was left alone was not tried, so it is named only when none was.
            if unavailable.fault.fault != RelayFault::BreakerOpen {
                failed = (relay, unavailable);
            }
        }
        let (relay, unavailable) = failed;
        let verdict = Unavailable { retry_after: soonest, ..unavailable }.into();
        Report { relay: Some(relay.name().to_owned()), dot_sent: false, verdict }
    }

    async fn ready(&self) {
        select_all(self.relays().map(|relay| Box::pin(relay.ready()))).await;
    }

    async fn close(&self) {
        join_all(self.relays().map(Relay::close)).await;
    }
}
