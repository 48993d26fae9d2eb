//! One relay: its connections, its breaker and its pace.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Health, NotNow, Permit};
use super::pace::Pace;
use super::pool::Pool;
use super::relay_url::RelayUrl;
use super::session::{Fault, Session};
use super::stream::Stream;
use super::timeouts::Timeouts;
use super::tls::{Tls, TlsError};
use super::transaction::{Answered, Ending, Transaction};
use crate::contracts::transport::{Gate, Outgoing};
use crate::domain::report::{RelayFault, Report, Verdict};

/// The shortest pause that is asked for after a fault.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// A relay and what is known of it.
#[derive(Debug)]
pub(super) struct Relay {
    url: RelayUrl,
    name: String,
    tls: Option<Tls>,
    timeouts: Timeouts,
    pool: Arc<Pool>,
    breaker: Arc<Breaker>,
    pace: Option<Pace>,
}

/// Why this relay took no message.
#[derive(Debug)]
pub(super) struct Unavailable {
    pub(super) fault: Fault,
    pub(super) retry_after: Duration,
}

impl Relay {
    /// Reads certificates, which blocks; connects to nothing yet.
    pub(super) fn new(url: RelayUrl, timeouts: Timeouts) -> Result<Self, TlsError> {
        let (name, tls) = (url.to_string(), Tls::new(&url)?);
        let timeouts = url.deadlines.over(timeouts);
        let breaker = Breaker::new(url.connections, timeouts.backoff_first, timeouts.backoff_cap);
        Ok(Self {
            pool: Arc::new(Pool::new(name.clone(), timeouts.idle)),
            breaker: Arc::new(breaker),
            pace: url.rate.map(Pace::new),
            name,
            tls,
            timeouts,
            url,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns when a message may be tried here.
    pub(super) async fn ready(&self) {
        self.breaker.ready().await;
    }

    /// Takes leave on idle connections.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Puts a message to this relay. After an error certainly nothing was sent, and the gate was not asked.
    pub(super) async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Result<Report, Unavailable> {
        let permit = self.enter().await?;
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        let started = Instant::now();
        let mut kept = self.pool.take().await;
        loop {
            let mut session = match kept.take() {
                Some(session) => session,
                None => match self.open().await {
                    Ok(session) => session,
                    Err(fault) => return Err(self.faulty(permit, message, fault, true, started)),
                },
            };
            let transaction = Transaction::new(&mut session, message, &self.timeouts, self.url.pipelining);
            match transaction.run(gate).await {
                // Not counted: the server had closed it before. The next connection is a new one and cannot be stale.
                Ending::Stale => {}
                Ending::Fault(fault) => return Err(self.faulty(permit, message, fault, false, started)),
                Ending::Withheld => {
                    permit.finish(Health::Well);
                    return Ok(self.report(false, Verdict::Withheld));
                }
                Ending::Answered(answered) => return Ok(self.answered(permit, session, answered)),
            }
        }
    }

    async fn enter(&self) -> Result<Permit, Unavailable> {
        let entered = self.breaker.enter(Instant::now() + self.timeouts.slot).await;
        entered.map_err(|not_now| match not_now {
            NotNow::Resting(retry_after) => Unavailable {
                fault: Fault::new(RelayFault::BreakerOpen, "left alone because of earlier faults"),
                retry_after: retry_after.max(SHORTEST_PAUSE),
            },
            NotNow::Busy => Unavailable {
                fault: Fault::new(RelayFault::Throttled, "all connections to the relay are in use"),
                retry_after: SHORTEST_PAUSE,
            },
        })
    }

    async fn open(&self) -> Result<Session<Stream>, Fault> {
        let session = Session::open(&self.url, self.tls.as_ref(), &self.timeouts).await;
        if session.is_ok() {
            tracing::debug!(relay = %self.name, "connected");
        }
        session
    }

    fn answered(&self, permit: Permit, session: Session<Stream>, answered: Answered) -> Report {
        if answered.reusable {
            // Before the slot is given back, so that whoever takes it finds the connection.
            self.pool.put(session);
        }
        if answered.well && permit.is_probe() {
            tracing::info!(relay = %self.name, "the relay works again");
        }
        let rest = permit.finish(if answered.well { Health::Well } else { Health::Broken });
        if !answered.well && !rest.is_zero() {
            tracing::warn!(relay = %self.name, rest_ms = millis(rest), "transactions break, left alone");
        }
        self.report(answered.dot_sent, Verdict::Answered(answered.outcomes))
    }

    /// `opening` says whether it happened before the connection was ready for a message.
    fn faulty(
        &self,
        permit: Permit,
        message: &Outgoing,
        fault: Fault,
        opening: bool,
        started: Instant,
    ) -> Unavailable {
        let full = opening && fault.fault == RelayFault::Throttled;
        let rest = permit.finish(if full { Health::Full } else { Health::Faulty });
        tracing::warn!(
            message_id = %message.id,
            relay = %self.name,
            fault = fault.fault.as_str(),
            code = fault.reply.code,
            duration_ms = millis(started.elapsed()),
            rest_ms = millis(rest),
            "the relay takes no message"
        );
        Unavailable { fault, retry_after: rest.max(SHORTEST_PAUSE) }
    }

    fn report(&self, dot_sent: bool, verdict: Verdict) -> Report {
        Report { relay: Some(self.name.clone()), dot_sent, verdict }
    }
}

impl From<Unavailable> for Verdict {
    fn from(unavailable: Unavailable) -> Self {
        let Unavailable { fault: Fault { fault, reply }, retry_after } = unavailable;
        Self::Fault { fault, reply, retry_after }
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
