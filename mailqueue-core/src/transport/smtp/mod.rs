//! Mail by SMTP (RFC 5321), handed to one relay or to the first of several that takes any.
//!
//! The conversation is our own, because the promise needs what mail libraries do not give: an answer for every
//! recipient, a report whether the final dot was sent, a gate before it, a deadline on everything, and no connection
//! that is used again after a violation of the protocol.
//!
//! | | |
//! | --- | --- |
//! | `relay_url`, `timeouts`, `timeout_overrides` | settings |
//! | `declines` | the reasons why no relay took a message |
//! | `relay` | one relay: `pool` of idle connections, `rate_limit`, `sender_throttle`, `pause_switch`, `quirks` |
//! | `breaker` | slots of a relay, by the `breaker_state` and its `concurrency_limit` |
//! | `dial` | a connection from DNS to AUTH, over `stream`, with `tls`, `auth` |
//! | `session` | a connection that is ready for a message, and its `capabilities` |
//! | `conversation` | one message: `envelope`, then `content` (`data`), on one `transaction`, to its `conclusion` |
//! | `wire`, `reply` | octets with deadlines, replies within bounds |
//! | `fault` | the reason why a relay takes no message |

mod auth;
mod breaker;
mod breaker_state;
mod capabilities;
mod conclusion;
mod concurrency_limit;
mod content;
mod conversation;
mod data;
mod declines;
mod dial;
mod envelope;
mod fault;
mod pause_switch;
mod pool;
mod quirks;
mod rate_limit;
mod relay;
mod relay_url;
mod relay_url_error;
mod reply;
mod sender_throttle;
mod session;
mod stream;
mod timeout_overrides;
mod timeouts;
mod tls;
mod transaction;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, select_all};
use tokio::time::{Instant, timeout_at};

use self::declines::Declines;
use self::relay::{Relay, SlotRequest};
pub use self::relay_url::RelayUrl;
pub use self::relay_url_error::RelayUrlError;
pub use self::timeouts::Timeouts;
pub use self::tls::TlsError;
use crate::contracts::relay_health::RelayHealth;
use crate::contracts::transport::{Gate, Outgoing, Transport};
use crate::domain::report::{RelayFault, Reply, Report, Verdict};

/// The reason why no SMTP transport can be opened.
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

/// The wait of a message that finds all relays paused. None is claimed for them, so it is one that was claimed before.
const PAUSED_RETRY_INTERVAL: Duration = Duration::from_secs(5);

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

    /// The relays whose names do not resolve at this moment, each with the reason.
    pub async fn unresolved(relays: &[RelayUrl], timeouts: &Timeouts) -> Vec<(String, String)> {
        let asked = relays.iter().map(async |relay| {
            let fault = dial::resolve(relay, timeouts).await.err()?;
            Some((relay.to_string(), fault.reply.text))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// The relays that no operator has paused.
    fn active(&self) -> impl Iterator<Item = &Arc<Relay>> {
        self.relays.iter().filter(|relay| !relay.is_paused())
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        // One deadline for all rounds, so that a message does not wait anew after each.
        let slot_by = Instant::now() + self.slot;
        loop {
            // Begins anew in each round, because a breaker may have changed while this one waited.
            let mut declines = Declines::default();
            let request = SlotRequest { is_only: self.active().nth(1).is_none(), slot_by };
            if self.active().next().is_none() {
                return paused();
            }
            for relay in self.active() {
                match relay.send(message, gate, request).await {
                    Ok(report) => return report,
                    Err(declined) => declines.add(relay, declined),
                }
            }
            if declines.busy.is_empty() {
                return declines.report(message);
            }
            let any = select_all(declines.busy.iter().map(|relay| Box::pin(relay.ready())));
            if timeout_at(slot_by, any).await.is_err() {
                return declines.report(message);
            }
        }
    }

    async fn ready(&self) -> usize {
        loop {
            let room = self.relays.iter().fold(0_usize, |room, relay| room.saturating_add(relay.room()));
            if room > 0 {
                return room;
            }
            // `ready` looks at the room again, so a slot that came free in between ends this wait at once.
            select_all(self.relays.iter().map(|relay| Box::pin(relay.ready()))).await;
        }
    }

    fn is_untroubled(&self) -> bool {
        self.active().next().is_some() && self.active().all(|relay| relay.is_untroubled())
    }

    fn relays(&self) -> Vec<RelayHealth> {
        self.relays.iter().map(|relay| relay.health()).collect()
    }

    fn pause_relays(&self, names: &[String]) {
        for relay in &self.relays {
            relay.set_paused(names.iter().any(|name| name == relay.host_and_port()));
        }
    }

    async fn close(&self) {
        join_all(self.relays.iter().map(|relay| relay.close())).await;
    }
}

fn paused() -> Report {
    let reply = Reply::new(None, "all relays are paused");
    let verdict = Verdict::Fault { fault: RelayFault::Paused, reply, retry_after: PAUSED_RETRY_INTERVAL };
    Report { relay: None, dot_sent: false, verdict }
}
