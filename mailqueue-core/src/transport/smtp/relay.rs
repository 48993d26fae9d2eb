//! One relay: its connections, its breaker and its rate limit.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, Permit};
use super::breaker_state::{Health, Unavailable};
use super::conclusion::{Answers, Conclusion, Throttle};
use super::dial::dial;
use super::fault::Fault;
use super::pause_switch::PauseSwitch;
use super::pool::Pool;
use super::quirks::Quirks;
use super::rate_limit::RateLimit;
use super::relay_url::RelayUrl;
use super::sender_throttle::{Limited, SenderThrottle};
use super::session::Session;
use super::stream::Stream;
use super::timeouts::Timeouts;
use super::tls::{Tls, TlsError};
use super::transaction::Transaction;
use crate::contracts::relay_health::{LastFault, RelayHealth};
use crate::contracts::transport::{Gate, Outgoing};
use crate::domain::id::MessageId;
use crate::domain::report::{RelayFault, Reply, Report, Verdict};

/// The shortest pause that is asked for after a fault.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The longest. Nothing is claimed for a relay that rests, so that a message that waits is not in the way; and another
/// process may find the relay working.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// A relay and what is known of it.
#[derive(Debug)]
pub(super) struct Relay {
    url: RelayUrl,
    name: String,
    /// The name that operators pause it by.
    host_and_port: String,
    tls: Option<Tls>,
    timeouts: Timeouts,
    pool: Arc<Pool>,
    breaker: Arc<Breaker>,
    rate_limit: Option<RateLimit>,
    senders: SenderThrottle,
    quirks: Quirks,
    pause: PauseSwitch,
    last_fault: Mutex<Option<(Instant, RelayFault, Option<u16>)>>,
}

/// A connection that is being opened.
type Opening = Pin<Box<dyn Future<Output = Result<Session<Stream>, Fault>> + Send>>;

/// The reason why this relay took no message.
#[derive(Debug)]
pub(super) enum Declined {
    /// It can take none now, as far as is known.
    Unavailable { fault: Fault, retry_after: Duration },
    /// No slot is free, or somebody finds out whether it can be used.
    Busy,
    /// It cannot take this message, as its offer says.
    Unfit(Reply),
}

impl Declined {
    fn unavailable(fault: RelayFault, text: &str, retry_after: Duration) -> Self {
        let retry_after = retry_after.clamp(MIN_RETRY_INTERVAL, MAX_RETRY_INTERVAL);
        Self::Unavailable { fault: Fault::new(fault, text), retry_after }
    }
}

/// The need of a message for one relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotRequest {
    /// Set when there is no other relay.
    pub(super) is_only: bool,
    /// The end of its wait for a slot.
    pub(super) slot_by: Instant,
}

impl Relay {
    /// Reads certificates, which blocks; connects to nothing yet.
    pub(super) fn new(url: RelayUrl, timeouts: Timeouts) -> Result<Self, TlsError> {
        let (name, tls) = (url.to_string(), Tls::new(&url)?);
        let timeouts = url.deadlines.over(timeouts);
        let (first, cap) = (timeouts.backoff_first, timeouts.backoff_cap);
        Ok(Self {
            pool: Arc::new(Pool::new(name.clone(), timeouts.idle)),
            breaker: Arc::new(Breaker::new(url.connections, url.slow_start, first, cap)),
            rate_limit: url.rate.map(RateLimit::new),
            quirks: Quirks::default(),
            senders: SenderThrottle::new(url.connections, url.slow_start, timeouts),
            pause: PauseSwitch::default(),
            last_fault: Mutex::default(),
            host_and_port: url.host_and_port().to_ascii_lowercase(),
            name,
            tls,
            timeouts,
            url,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name that operators pause it by.
    pub(super) fn host_and_port(&self) -> &str {
        &self.host_and_port
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_on()
    }

    pub(super) fn set_paused(&self, paused: bool) {
        if self.pause.set(paused) {
            tracing::info!(event = "control.changed", relay = %self.name, paused, "an operator has changed the relay's pause");
        }
    }

    pub(super) fn health(&self) -> RelayHealth {
        let (phase, in_use, allowed) = self.breaker.usage();
        let last_fault = *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner);
        RelayHealth {
            name: self.host_and_port.clone(),
            phase,
            is_paused: self.is_paused(),
            in_use,
            allowed,
            last_fault: last_fault.map(|(at, fault, code)| LastFault {
                fault,
                code,
                age_s: at.elapsed().as_secs(),
            }),
        }
    }

    /// Returns when a message may be tried here.
    pub(super) async fn ready(&self) {
        loop {
            self.pause.off().await;
            self.breaker.ready().await;
            if !self.is_paused() {
                return;
            }
        }
    }

    /// The number of messages that may be begun here now.
    pub(super) fn room(&self) -> usize {
        if self.is_paused() { 0 } else { self.breaker.room() }
    }

    /// True while nothing is known against it.
    pub(super) fn is_untroubled(&self) -> bool {
        self.breaker.is_untroubled()
    }

    /// Takes leave on idle connections.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Puts a message to this relay. After an error certainly nothing was sent, and the gate was not asked.
    pub(super) async fn send(
        self: &Arc<Self>,
        message: &Outgoing,
        gate: &dyn Gate,
        request: SlotRequest,
    ) -> Result<Report, Declined> {
        // The sender comes first, so that a message that has to wait for it takes no slot.
        let sender = self.senders.enter(&message.sender).map_err(limited)?;
        let mut permit = self.enter(request).await?;
        // Again, as it may have been paused while this message waited for the slot.
        self.decline_if_paused()?;
        // After the slot, so that no turn is spent on a message that gets none.
        if let Some(limit) = &self.rate_limit {
            limit.acquire().await;
            // And again, as the turn may have been long in coming.
            self.decline_if_paused()?;
        }
        let started = Instant::now();
        let mut kept = self.pool.take().await;
        let (mut pipelining, mut fell_silent) = (self.pipelines(), false);
        // Three rounds at most: only a kept connection is stale, and only a pipelined one falls silent.
        loop {
            let mut session = match kept.take() {
                Some(session) => session,
                None => {
                    let (session, returned) = self.session(permit, message, request).await?;
                    permit = returned;
                    session
                }
            };
            let transaction = Transaction::new(&mut session, message, &self.timeouts, pipelining);
            match transaction.run(gate).await {
                // Not counted: the server had closed it before. The next connection is a new one and cannot be stale.
                Conclusion::Stale => {}
                // Once more, one command at a time.
                Conclusion::Silent => (pipelining, fell_silent) = (false, true),
                Conclusion::Unfit(reply) => {
                    self.pool.put(session);
                    permit.finish(Health::Well);
                    return Err(Declined::Unfit(reply));
                }
                Conclusion::Fault(fault) => {
                    return Err(self.faulty(permit, message.id, fault, Health::Faulty, started));
                }
                Conclusion::Pressed(fault) => {
                    return Err(self.faulty(permit, message.id, fault, Health::Pressed, started));
                }
                Conclusion::Withheld => {
                    // Drops the session: it is in the middle of DATA, and only its end discards the message.
                    permit.finish(Health::Well);
                    return Ok(self.report(false, Verdict::Withheld));
                }
                Conclusion::Answered(mut answers) => {
                    if fell_silent && answers.well {
                        tracing::warn!(event = "relay.pipelining_off", relay = %self.name, "pipelined commands get lost, not used any more");
                        self.quirks.no_pipelining.store(true, Ordering::Relaxed);
                    }
                    self.send_left_over(&mut session, message, gate, &mut answers).await;
                    self.tell_senders(&message.sender, sender, &answers);
                    return Ok(self.answered(permit, session, answers));
                }
            }
        }
    }

    fn decline_if_paused(&self) -> Result<(), Declined> {
        match self.is_paused() {
            true => {
                let text = "paused by an operator";
                Err(Declined::unavailable(RelayFault::Paused, text, MIN_RETRY_INTERVAL))
            }
            false => Ok(()),
        }
    }

    fn pipelines(&self) -> bool {
        self.url.pipelining && !self.quirks.no_pipelining.load(Ordering::Relaxed)
    }

    /// Goes on with recipients that were too many for one transaction, as long as each transaction takes some. Those
    /// that are left in the end keep the answer they had.
    async fn send_left_over(
        &self,
        session: &mut Session<Stream>,
        message: &Outgoing,
        gate: &dyn Gate,
        answers: &mut Answers,
    ) {
        while answers.reusable && answers.well && !answers.left_over.is_empty() {
            let rest = Outgoing { recipients: mem::take(&mut answers.left_over), ..message.clone() };
            match Transaction::new(session, &rest, &self.timeouts, self.pipelines()).run(gate).await {
                Conclusion::Answered(next) => answers.add(next),
                // The outcomes so far stand; those left over keep theirs and wait for the next attempt.
                _ => answers.reusable = false,
            }
        }
    }

    fn tell_senders(&self, sender: &str, permit: Option<Permit>, answers: &Answers) {
        match &answers.throttle {
            Some(Throttle::Sender(reply)) => {
                self.senders.throttled(sender, permit, Health::Faulty, reply.clone());
            }
            Some(Throttle::Message(reply)) => {
                self.senders.throttled(sender, permit, Health::Broken, reply.clone());
            }
            None if answers.well => self.senders.record_success(sender, permit),
            // Says nothing about the sender.
            None | Some(Throttle::Everybody) => {}
        }
    }

    async fn enter(&self, request: SlotRequest) -> Result<Permit, Declined> {
        let entered = match request.is_only {
            true => self.breaker.enter(request.slot_by).await,
            false => self.breaker.enter_unless_troubled(request.slot_by).await,
        };
        entered.map_err(|unavailable| match unavailable {
            Unavailable::Open(rest) => {
                Declined::unavailable(RelayFault::BreakerOpen, "left alone because of earlier faults", rest)
            }
            Unavailable::Busy => Declined::Busy,
        })
    }

    /// A new connection. One that takes long is left to later messages, if this one can go to another relay.
    async fn session(
        self: &Arc<Self>,
        mut permit: Permit,
        message: &Outgoing,
        request: SlotRequest,
    ) -> Result<(Session<Stream>, Permit), Declined> {
        let (started, relay) = (Instant::now(), Arc::clone(self));
        // Boxed and owning its relay, so that a task can finish it when this message goes elsewhere.
        let mut opening: Opening =
            Box::pin(
                async move { dial(&relay.url, relay.tls.as_ref(), &relay.quirks, &relay.timeouts).await },
            );
        let opened = if request.is_only {
            opening.await
        } else {
            match timeout(self.timeouts.patience, &mut opening).await {
                Ok(opened) => opened,
                Err(_) => {
                    permit.suspend();
                    tokio::spawn(Arc::clone(self).go_on_opening(permit, message.id, opening, started));
                    let text = "it takes long to open a connection";
                    return Err(Declined::unavailable(RelayFault::Protocol, text, MIN_RETRY_INTERVAL));
                }
            }
        };
        match opened {
            Ok(session) => {
                tracing::debug!(event = "relay.connected", relay = %self.name, "connected");
                Ok((session, permit))
            }
            Err(fault) => {
                let health = health_of_opening(&fault);
                Err(self.faulty(permit, message.id, fault, health, started))
            }
        }
    }

    async fn go_on_opening(
        self: Arc<Self>,
        permit: Permit,
        message_id: MessageId,
        opening: Opening,
        started: Instant,
    ) {
        match opening.await {
            Ok(session) => {
                tracing::debug!(event = "relay.connected", relay = %self.name, duration_ms = millis(started.elapsed()), "connected late");
                self.pool.put(session);
                permit.finish(Health::Well);
            }
            Err(fault) => {
                let health = health_of_opening(&fault);
                self.faulty(permit, message_id, fault, health, started);
            }
        }
    }

    fn answered(&self, permit: Permit, session: Session<Stream>, answers: Answers) -> Report {
        if answers.reusable {
            // Before the slot is given back, so that whoever takes it finds the connection.
            self.pool.put(session);
        }
        if answers.well && answers.throttle != Some(Throttle::Everybody) && permit.is_probe() {
            tracing::info!(event = "relay.breaker", relay = %self.name, "the relay works again");
        }
        let pressed = answers.throttle == Some(Throttle::Everybody);
        let rest = permit.finish(match answers.well {
            true if pressed => Health::Pressed,
            true => Health::Well,
            false => Health::Broken,
        });
        if pressed {
            tracing::warn!(event = "relay.breaker", relay = %self.name, rest_ms = millis(rest), "asks for patience, given less");
        } else if !answers.well && !rest.is_zero() {
            tracing::warn!(event = "relay.breaker", relay = %self.name, rest_ms = millis(rest), "transactions break, left alone");
        }
        self.report(answers.dot_sent, Verdict::Answered(answers.outcomes))
    }

    fn faulty(
        &self,
        permit: Permit,
        message_id: MessageId,
        fault: Fault,
        health: Health,
        started: Instant,
    ) -> Declined {
        let rest = permit.finish(health);
        let noted = (Instant::now(), fault.fault, fault.reply.code);
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted);
        tracing::warn!(
            event = "relay.fault",
            %message_id,
            relay = %self.name,
            fault = fault.fault.as_str(),
            code = fault.reply.code,
            duration_ms = millis(started.elapsed()),
            rest_ms = millis(rest),
            "the relay takes no message"
        );
        Declined::Unavailable { fault, retry_after: rest.clamp(MIN_RETRY_INTERVAL, MAX_RETRY_INTERVAL) }
    }

    fn report(&self, dot_sent: bool, verdict: Verdict) -> Report {
        Report { relay: Some(self.name.clone()), dot_sent, verdict }
    }
}

/// A relay refuses a connection that is one too many by 421, or without a word, or does not listen.
fn health_of_opening(fault: &Fault) -> Health {
    match fault.fault {
        RelayFault::Throttled | RelayFault::Connect | RelayFault::Greeting | RelayFault::Protocol => {
            Health::Full
        }
        _ => Health::Faulty,
    }
}

/// Spread over as long again, so that they do not come back together.
fn limited(Limited { reply, rest }: Limited) -> Declined {
    let retry_after = rest.max(MIN_RETRY_INTERVAL).mul_f64(1.0 + fastrand::f64());
    Declined::Unavailable { fault: Fault { fault: RelayFault::SenderLimited, reply }, retry_after }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
