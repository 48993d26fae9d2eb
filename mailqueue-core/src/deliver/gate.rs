//! The gate before the final dot.

use std::convert::Infallible;
use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::leases::Held;
use crate::contracts::store::{MessageStore, Renewal};
use crate::contracts::transport::Gate;

/// A permission is asked for ahead only where the dot has followed on the beginning within this time lately: a crash in
/// between leaves a doubt.
const SHORT_LEAD: Duration = Duration::from_millis(10);

/// The time from the beginning of a conversation to its first dot, as it was lately.
#[derive(Debug)]
pub(super) struct Lead {
    micros: AtomicU64,
}

impl Default for Lead {
    /// One that is taken for long, as nothing is known of it.
    fn default() -> Self {
        Self { micros: AtomicU64::new(u64::MAX) }
    }
}

impl Lead {
    // Relaxed, as no other memory is read because of it; one of two measurements at a time may be lost.
    fn is_short(&self) -> bool {
        Duration::from_micros(self.micros.load(Ordering::Relaxed)) <= SHORT_LEAD
    }

    fn note(&self, lead: Duration) {
        let (old, new) =
            (self.micros.load(Ordering::Relaxed), u64::try_from(lead.as_micros()).unwrap_or(u64::MAX));
        let mean = if old == u64::MAX { new } else { old - old / 8 + new / 8 };
        self.micros.store(mean, Ordering::Relaxed);
    }
}

/// The gate before the final dot: the store writes down that the dot may be sent, and only while the lease is held.
pub(super) struct LeaseGate<'a> {
    store: &'a dyn MessageStore,
    held: &'a Held,
    lease: Duration,
    drain: &'a CancellationToken,
    /// `None` where the store is asked for each dot when it comes.
    lead: Option<&'a Lead>,
    /// The beginning of the conversation, until its first dot.
    begun: OnceLock<Instant>,
    /// The answer for the first dot, where it is asked for ahead. Locked while it is.
    ahead: tokio::sync::Mutex<Option<Permission>>,
}

/// The store's answer.
struct Permission {
    asked: Instant,
    /// `None` when the store gave none.
    is_held: Option<bool>,
}

impl<'a> LeaseGate<'a> {
    /// With a `lead`, [`ask_ahead`](Self::ask_ahead) asks where that is short.
    pub(super) fn new(
        store: &'a dyn MessageStore,
        held: &'a Held,
        lease: Duration,
        drain: &'a CancellationToken,
        lead: Option<&'a Lead>,
    ) -> Self {
        let (begun, ahead) = (OnceLock::new(), tokio::sync::Mutex::default());
        Self { store, held, lease, drain, lead, begun, ahead }
    }

    /// Notes that the conversation begins.
    pub(super) fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// Asks for the permission for the first dot, if the dot has followed soon lately. To be polled beside the
    /// conversation; never returns.
    pub(super) async fn ask_ahead(&self) -> Infallible {
        if self.lead.is_some_and(Lead::is_short) {
            let mut ahead = self.ahead.lock().await;
            *ahead = Some(self.ask().await);
        }
        pending().await
    }

    async fn ask(&self) -> Permission {
        let asked = Instant::now();
        let renewal = Renewal { lease: self.held.lease(), before_dot: true };
        let answer = self.store.renew(vec![renewal], self.lease).await;
        Permission { asked, is_held: answer.ok().map(|held| held.first().copied().unwrap_or(false)) }
    }

    /// An answer that took a third of the lease is too old to act on: the margin for the dot's own way is the rest.
    fn is_fresh(&self, permission: &Permission) -> bool {
        permission.asked.elapsed() <= self.lease / 3
    }
}

#[async_trait]
impl Gate for LeaseGate<'_> {
    async fn may_send_dot(&self) -> bool {
        if self.drain.is_cancelled() || self.held.is_lost() {
            return false;
        }
        if let (Some(lead), Some(begun)) = (self.lead, self.begun.get())
            && !self.held.is_past_dot()
        {
            lead.note(begun.elapsed());
        }
        // Taken out: one permission is for one dot.
        let ahead = self.ahead.lock().await.take();
        // Asked again where the store gave no answer: it may be back.
        let permission = match ahead.filter(|ahead| ahead.is_held.is_some() && self.is_fresh(ahead)) {
            Some(ahead) => ahead,
            None => self.ask().await,
        };
        match permission.is_held {
            // Stays shut without an answer: what is not sent can be sent later, not the other way round.
            None => return false,
            Some(false) => {
                self.held.lose();
                return false;
            }
            Some(true) => {}
        }
        if !self.is_fresh(&permission) || self.drain.is_cancelled() {
            return false;
        }
        // Noted before the dot leaves, so that neither a drain nor a lost lease cuts the attempt off.
        self.held.pass_dot();
        true
    }
}
