//! Sending one claimed message and writing down what happened.

mod gate;
mod leases;
mod pending_results;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::contracts::store::{Claimed, LeaseTerms, MessageStore, Settlement, StoreError, TooLarge};
use crate::contracts::transport::{Outgoing, Transport};
use crate::controls::TrafficCounter;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::report::{Outcome, Reply, Report, Verdict};
use crate::domain::transition::{AttemptContext, DeliveryPolicy, OnUnknown};
use crate::health::Health;
use crate::telemetry;
use gate::{Lead, LeaseGate};
use leases::{Held, Leases};
use pending_results::PendingResults;

/// The size of the messages whose dot may be allowed with the claim: others take longer to be said.
const MAX_OCTETS_ALLOWED: u64 = 64 << 10;

/// The delivery options of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverOptions {
    /// The name this worker has in logs and in the record.
    pub worker: String,
    /// The retry schedule and the rule for lost outcomes.
    pub policy: DeliveryPolicy,
    /// The duration of a lease. It is renewed every third of that.
    pub lease: Duration,
}

impl Default for DeliverOptions {
    /// A lease of 60 seconds.
    fn default() -> Self {
        let worker = "worker".to_owned();
        Self { worker, policy: DeliveryPolicy::default(), lease: Duration::from_secs(60) }
    }
}

/// Claims messages, sends them and writes down results. Cheap to clone; clones share the leases.
#[derive(Clone)]
pub struct Deliverer {
    store: Arc<dyn MessageStore>,
    transport: Arc<dyn Transport>,
    options: Arc<DeliverOptions>,
    leases: Arc<Leases>,
    health: Arc<Health>,
    pending: Arc<PendingResults>,
    lead: Arc<Lead>,
    traffic: Arc<TrafficCounter>,
}

/// A message this worker holds the lease of.
pub struct Job {
    claimed: Claimed,
    held: Arc<Held>,
}

impl Job {
    /// The size of the message as it is sent.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.claimed.raw.len()
    }
}

/// The outcome of a claim.
pub struct Claim {
    /// Those this worker holds the lease of now.
    pub jobs: Vec<Job>,
    /// Those it could have claimed, but for their size.
    pub too_large: Vec<TooLarge>,
}

/// A result that is not written down yet.
pub struct Unsettled {
    settlement: Arc<Settlement>,
    held: Arc<Held>,
    lane: Lane,
    waited: Duration,
}

impl Deliverer {
    /// A deliverer that keeps the leases of what it claims until it is dropped. `health` is that of the store, shared
    /// with the [`Sweeper`](crate::sweep::Sweeper) of the same process. Needs a tokio runtime.
    #[must_use]
    pub fn new(
        store: Arc<dyn MessageStore>,
        transport: Arc<dyn Transport>,
        health: Arc<Health>,
        options: DeliverOptions,
    ) -> Self {
        let leases = Leases::start(Arc::clone(&store), Arc::clone(&health), options.lease);
        let pending = Arc::new(PendingResults::new(Arc::clone(&health)));
        let (options, lead) = (Arc::new(options), Arc::default());
        Self { store, transport, options, leases, health, pending, lead, traffic: Arc::default() }
    }

    /// The same, which counts results in `traffic`.
    #[must_use]
    pub fn counting(self, traffic: Arc<TrafficCounter>) -> Self {
        Self { traffic, ..self }
    }

    /// Leases those of `ids` that are queued and due and have at most `largest` octets, for this worker alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; if something was leased all the same, its lease runs out by itself.
    pub async fn claim(&self, ids: &[MessageId], largest: u64) -> Result<Claim, StoreError> {
        let terms = LeaseTerms {
            owner: self.options.worker.clone(),
            token: leases::token(),
            duration: self.options.lease,
            largest,
            dot_up_to: self.may_allow_dots().then_some(MAX_OCTETS_ALLOWED),
        };
        // Taken before the question, so that a slow answer makes a lease seem shorter, never longer.
        let asked = Instant::now();
        let claims = self.store.claim(ids, &terms).await?;
        let job = |claimed: Claimed| {
            telemetry::claimed(&claimed);
            Job { held: self.leases.hold(claimed.lease, asked, claimed.delivery.dot_allowed), claimed }
        };
        Ok(Claim { jobs: claims.leased.into_iter().map(job).collect(), too_large: claims.too_large })
    }

    /// A dot that is allowed with the claim costs the store one write less. A crash before it leaves a doubt that a
    /// question right before the dot would not, so it must follow soon. Where doubt is held, it would park a message that
    /// nobody has sent.
    fn may_allow_dots(&self) -> bool {
        self.options.policy.on_unknown == OnUnknown::Retry
            && self.lead.is_short()
            && self.transport.is_untroubled()
    }

    /// Makes one attempt. Ends early, with the message given back untouched, when `drain` is cancelled or the lease is
    /// lost before the final dot. Never panics: what panics inside costs this message its attempt.
    pub async fn attempt(&self, job: Job, drain: &CancellationToken) -> Unsettled {
        let Job { claimed, held } = job;
        let started = Instant::now();
        let gate = LeaseGate::new(&*self.store, &held, self.options.lease, drain, &self.lead);
        let message = Outgoing {
            id: claimed.lease.id,
            sender: claimed.sender.clone(),
            recipients: claimed.delivery.pending().map(|recipient| recipient.address.clone()).collect(),
            raw: claimed.raw.clone(),
            smtputf8: claimed.smtputf8,
        };
        let sending = AssertUnwindSafe(self.transport.send(&message, &gate)).catch_unwind();
        let report = tokio::select! {
            // A report that is there wins over a lost lease: what was sent is not given back.
            biased;
            report = sending => report.unwrap_or_else(|_| panicked(&message, held.is_past_dot())),
            () = held.lost_before_dot() => withheld(),
            () = until_drained_before_dot(drain, &held) => withheld(),
        };
        telemetry::attempted(&claimed, &report, started.elapsed());
        let jitter = jitter(&report, drain);
        self.unsettled(Job { claimed, held }, report, jitter)
    }

    /// Gives a message back without an attempt, untouched; for another worker to take at once.
    #[must_use]
    pub fn give_back(&self, job: Job) -> Unsettled {
        let report = withheld();
        telemetry::attempted(&job.claimed, &report, Duration::ZERO);
        self.unsettled(job, report, 0.0)
    }

    fn unsettled(&self, job: Job, report: Report, jitter: f64) -> Unsettled {
        let Job { claimed, held } = job;
        let context = AttemptContext {
            attempt: claimed.delivery.attempt,
            started_at: claimed.claimed_at,
            duration: held.since_claim(),
            age: claimed.age + held.since_claim(),
            worker: self.options.worker.clone(),
            jitter,
        };
        let (lease, policy) = (claimed.lease, self.options.policy);
        let (lane, waited) = (claimed.lane, claimed.waited);
        let settlement = Settlement { lease, claimed: claimed.delivery, report, context, policy };
        Unsettled { settlement: Arc::new(settlement), held, lane, waited }
    }

    /// Writes a result down, however long the store is out of reach; the lease is kept meanwhile, and no lease is
    /// reclaimed in this process before.
    pub async fn settle(&self, unsettled: Unsettled) {
        let Unsettled { settlement, held, lane, waited } = unsettled;
        let mut unwritten = None;
        let mut pause = Duration::from_millis(50);
        loop {
            // Made before the store is asked, so that a recovery during the call is not missed.
            let recovered = self.health.recovered();
            let answer = self.store.settle(vec![Arc::clone(&settlement)]).await.pop();
            match answer {
                Some(Ok(settled)) => {
                    telemetry::settled(&settlement, settled);
                    self.traffic.settled(&settlement, settled, lane, waited);
                    break;
                }
                // Not tried again, because the same row would be refused again.
                Some(Err(StoreError::Refused(reason) | StoreError::Unreadable(reason))) => {
                    telemetry::not_settled(settlement.lease.id, reason.message());
                    break;
                }
                Some(Err(error)) => unwritten.get_or_insert_with(|| self.pending.begin()).log_once(&error),
                None => {}
            }
            tokio::select! {
                // Spread out, because an outage fails all results of a worker in one moment.
                () = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
                () = recovered => {}
            }
            pause = (pause * 2).min(self.longest_pause());
        }
        // Only now, so that the lease is renewed for as long as the result waits.
        self.leases.release(&held);
    }

    /// Well below the grace period that a lease of this length has, so that results come before anybody reclaims.
    fn longest_pause(&self) -> Duration {
        (self.options.lease / 16).clamp(Duration::from_millis(50), Duration::from_secs(2))
    }
}

/// A message that a draining worker gives back is for another one to take at once; one that a server puts off has to wait.
fn jitter(report: &Report, drain: &CancellationToken) -> f64 {
    let is_given_back = matches!(report.verdict, Verdict::Withheld) && drain.is_cancelled();
    if is_given_back { 0.0 } else { fastrand::f64() }
}

fn withheld() -> Report {
    Report { relay: None, dot_sent: false, verdict: Verdict::Withheld }
}

fn panicked(message: &Outgoing, past_dot: bool) -> Report {
    let reply = Reply::new(None, "the worker failed while it sent the message");
    let outcome = if past_dot { Outcome::Ambiguous(reply) } else { Outcome::Deferred(reply) };
    let outcomes = message.recipients.iter().map(|address| (address.clone(), outcome.clone())).collect();
    Report { relay: None, dot_sent: past_dot, verdict: Verdict::Answered(outcomes) }
}

async fn until_drained_before_dot(drain: &CancellationToken, held: &Held) {
    drain.cancelled().await;
    if held.is_past_dot() {
        std::future::pending::<()>().await;
    }
}
