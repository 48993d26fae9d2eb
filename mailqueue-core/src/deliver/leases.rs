//! The leases this worker holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::contracts::store::{Lease, MessageStore, Renewal};
use crate::health::Health;

/// The most leases in one renewal.
const MAX_RENEWALS: usize = 256;

/// A token that no other claim has.
pub(super) fn token() -> Uuid {
    // Not cryptographic: it tells claims apart and guards no secret.
    Uuid::from_u128(fastrand::u128(..))
}

/// One lease, and how far its message has come.
pub(super) struct Held {
    lease: Lease,
    since: Instant,
    lost: CancellationToken,
    /// The claim has allowed a dot, and none was sent.
    has_permission: AtomicBool,
    past_dot: AtomicBool,
}

impl Held {
    pub(super) fn lease(&self) -> Lease {
        self.lease
    }

    /// The time since the claim was asked for: never less than the time since it was granted.
    pub(super) fn since_claim(&self) -> Duration {
        self.since.elapsed()
    }

    /// Notes that somebody else may hold the message by now.
    pub(super) fn lose(&self) {
        self.lost.cancel();
    }

    /// Tells whether somebody else may hold the message by now.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// The permission for one dot that came with the claim; `true` once.
    pub(super) fn take_permission(&self) -> bool {
        self.has_permission.swap(false, Ordering::AcqRel)
    }

    /// Notes that the final dot may be on its way.
    pub(super) fn pass_dot(&self) {
        self.past_dot.store(true, Ordering::Release);
    }

    pub(super) fn is_past_dot(&self) -> bool {
        self.past_dot.load(Ordering::Acquire)
    }

    /// Returns when the lease is lost and the dot has not been allowed; past the dot, never.
    pub(super) async fn lost_before_dot(&self) {
        self.lost.cancelled().await;
        if self.is_past_dot() {
            std::future::pending::<()>().await;
        }
    }
}

/// Renews every lease each third of its length until it is released, or nobody is left who could release it.
pub(super) struct Leases {
    // Weak, so that the lease of a job that was dropped runs out instead of being renewed for ever.
    held: Mutex<HashMap<Lease, Weak<Held>>>,
}

impl Leases {
    /// Starts renewing; ends when the last handle is dropped.
    pub(super) fn start(store: Arc<dyn MessageStore>, health: Arc<Health>, duration: Duration) -> Arc<Self> {
        let leases = Arc::new(Self { held: Mutex::default() });
        tokio::spawn(renew(Arc::downgrade(&leases), store, health, duration));
        leases
    }

    /// Takes a lease into care that was asked for at `since`, with the permission for a dot or without.
    pub(super) fn hold(&self, lease: Lease, since: Instant, has_permission: bool) -> Arc<Held> {
        let (lost, past_dot) = (CancellationToken::new(), AtomicBool::new(false));
        let held = Arc::new(Held { lease, since, lost, has_permission: has_permission.into(), past_dot });
        self.lock().insert(lease, Arc::downgrade(&held));
        held
    }

    /// Lets a lease go.
    pub(super) fn release(&self, held: &Held) {
        self.lock().remove(&held.lease);
    }

    /// The leases somebody still works under; the others are forgotten and run out.
    fn still_held(&self) -> Vec<Arc<Held>> {
        let mut held = Vec::new();
        self.lock().retain(|_, one| {
            let one = one.upgrade();
            held.extend(one.clone());
            one.is_some()
        });
        held
    }

    /// Renews what is not fresh. `false` when the store did not answer: it renews nothing then, but takes nothing away
    /// either, and the gate asks again.
    async fn renew(&self, store: &dyn MessageStore, duration: Duration) -> bool {
        let mut answered = true;
        let mut held = self.still_held();
        // A lease younger than a quarter outlasts the next round, a third of its length away.
        held.retain(|held| held.since_claim() >= duration / 4);
        for page in held.chunks(MAX_RENEWALS) {
            let renewals = page.iter().map(|held| Renewal { lease: held.lease, before_dot: false }).collect();
            match store.renew(renewals, duration).await {
                Ok(answers) => {
                    page.iter()
                        .zip(answers)
                        .filter(|(_, is_held)| !is_held)
                        .for_each(|(held, _)| held.lose());
                }
                Err(_) => answered = false,
            }
        }
        answered
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, Weak<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn renew(leases: Weak<Leases>, store: Arc<dyn MessageStore>, health: Arc<Health>, duration: Duration) {
    let mut pause = duration / 3;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // Renews at once after an outage, before the grace period ends and anybody reclaims.
            () = health.recovered() => {}
        }
        // Holds it for one round only, so that the task ends with the last deliverer.
        let Some(leases) = leases.upgrade() else { return };
        // Asks four times as often without an answer, so that a short outage costs no lease.
        pause = if leases.renew(&*store, duration).await { duration / 3 } else { duration / 12 };
    }
}
