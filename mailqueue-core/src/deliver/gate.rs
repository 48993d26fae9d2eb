//! The gate before the final dot.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::leases::Held;
use crate::contracts::store::{MessageStore, Renewal};
use crate::contracts::transport::Gate;

/// A dot is allowed with the claim only where dots have followed on the beginning within this time lately: a crash in
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
    pub(super) fn is_short(&self) -> bool {
        Duration::from_micros(self.micros.load(Ordering::Relaxed)) <= SHORT_LEAD
    }

    fn note(&self, lead: Duration) {
        let (old, new) =
            (self.micros.load(Ordering::Relaxed), u64::try_from(lead.as_micros()).unwrap_or(u64::MAX));
        let mean = if old == u64::MAX { new } else { old - old / 8 + new / 8 };
        self.micros.store(mean, Ordering::Relaxed);
    }
}

/// The gate before the final dot: it opens once the store has written down that the dot may be sent, with the claim or
/// when it is asked, and only while the lease is held.
pub(super) struct LeaseGate<'a> {
    store: &'a dyn MessageStore,
    held: &'a Held,
    lease: Duration,
    drain: &'a CancellationToken,
    lead: &'a Lead,
    begun: Instant,
    /// Set at the first dot.
    first: OnceLock<()>,
}

impl<'a> LeaseGate<'a> {
    /// The gate of a conversation that begins now, and tells `lead` how soon its first dot follows.
    pub(super) fn new(
        store: &'a dyn MessageStore,
        held: &'a Held,
        lease: Duration,
        drain: &'a CancellationToken,
        lead: &'a Lead,
    ) -> Self {
        Self { store, held, lease, drain, lead, begun: Instant::now(), first: OnceLock::new() }
    }

    /// The store's answer, while there is time to act on it.
    async fn ask(&self) -> bool {
        let asked = Instant::now();
        let renewal = Renewal { lease: self.held.lease(), before_dot: true };
        match self.store.renew(vec![renewal], self.lease).await.as_deref() {
            Ok([true]) => self.is_fresh(asked.elapsed()),
            Ok(_) => {
                self.held.lose();
                false
            }
            // Stays shut without an answer: what is not sent can be sent later, not the other way round.
            Err(_) => false,
        }
    }

    /// A permission that was asked for a third of the lease ago is too old to act on: the margin for the dot's own way is
    /// the rest.
    fn is_fresh(&self, age: Duration) -> bool {
        age <= self.lease / 3
    }
}

#[async_trait]
impl Gate for LeaseGate<'_> {
    async fn may_send_dot(&self) -> bool {
        if self.drain.is_cancelled() || self.held.is_lost() {
            return false;
        }
        if self.first.set(()).is_ok() {
            self.lead.note(self.begun.elapsed());
        }
        // Taken, as one permission is for one dot.
        let is_allowed = self.held.take_permission() && self.is_fresh(self.held.since_claim());
        if !is_allowed && !self.ask().await || self.drain.is_cancelled() {
            return false;
        }
        // Noted before the dot leaves, so that neither a drain nor a lost lease cuts the attempt off.
        self.held.pass_dot();
        true
    }
}
