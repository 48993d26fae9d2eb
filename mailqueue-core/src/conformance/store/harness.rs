//! The harness of the cases: a store under test and short names for calls of it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::contracts::store::{
    Change, Changed, Claimed, Idempotency, Inserted, LeaseTerms, MessageStore, NewMessage, Reclaimed,
    Renewal, Settled, Settlement, StoreError, Submission,
};
use crate::domain::address::Address;
use crate::domain::draft::{Draft, Limits};
use crate::domain::id::MessageId;
use crate::domain::record::Record;
use crate::domain::render::render;
use crate::domain::report::{Outcome, Reply, Report, Verdict};
use crate::domain::retry::RetryPolicy;
use crate::domain::transition::{AttemptContext, DeliveryPolicy, OnUnknown};

/// A lease nothing in a test outlives.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// A lease that has run out as soon as somebody looks.
pub(super) const SHORT: Duration = Duration::from_millis(1);
/// How long anything is waited for.
const CONDITION_TIMEOUT: Duration = Duration::from_secs(20);

/// The recipient of messages that have only one.
pub(super) const ANA: &str = "ana@example.org";
/// A second recipient.
pub(super) const RUI: &str = "rui@example.net";

/// A store under test.
pub(super) struct Harness {
    /// The store.
    pub(super) store: Arc<dyn MessageStore>,
}

impl Harness {
    pub(super) fn new(store: Arc<dyn MessageStore>) -> Self {
        Self { store }
    }

    /// The store's time.
    pub(super) async fn now(&self) -> OffsetDateTime {
        self.store.now().await.expect("the clock can be read")
    }

    /// Waits until the store's clock has moved past `time`.
    pub(super) async fn past(&self, time: OffsetDateTime) {
        wait_until("the store's clock moves", || async { (self.now().await > time).then_some(()) }).await;
    }

    /// Waits until whatever comes next is later, also by the millisecond that an id carries.
    pub(super) async fn tick(&self) {
        self.past(self.now().await + time::Duration::MILLISECOND).await;
    }

    /// A checked and rendered message.
    pub(super) async fn message(&self, draft: &Draft) -> NewMessage {
        let now = self.now().await;
        let message = draft.check(&Limits::default(), now).expect("the suite's drafts are valid");
        let id = MessageId::new(now);
        let raw = render(&message, id, now).expect("the suite's drafts can be rendered");
        NewMessage { id, tenant: String::new(), message, raw }
    }

    /// Inserts one submission.
    pub(super) async fn insert(&self, submission: Submission) -> Result<Inserted, StoreError> {
        let mut results = self.store.insert(vec![Arc::new(submission)]).await;
        assert_eq!(results.len(), 1, "one result for each submission");
        results.remove(0)
    }

    /// Submits one message.
    pub(super) async fn submit(&self, draft: &Draft) -> MessageId {
        self.submit_for("", draft).await
    }

    /// Submits one message of a tenant.
    pub(super) async fn submit_for(&self, tenant: &str, draft: &Draft) -> MessageId {
        let message = NewMessage { tenant: tenant.to_owned(), ..self.message(draft).await };
        let id = message.id;
        let inserted = self.insert(Submission { messages: vec![message], idempotency: None }).await;
        assert_eq!(inserted.expect("a good submission is kept"), Inserted::Stored);
        id
    }

    /// Submits `count` messages, each due later than the one before.
    pub(super) async fn submit_in_turn(&self, count: usize) -> Vec<MessageId> {
        let mut ids = Vec::with_capacity(count);
        for n in 0..count {
            ids.push(self.submit(&draft(&format!("number {n}"))).await);
            self.tick().await;
        }
        ids
    }

    /// A message that is there.
    pub(super) async fn record(&self, id: MessageId) -> Record {
        self.store.get(None, id).await.expect("records can be read").expect("the message is there")
    }

    /// Claims those of `ids` that can be.
    pub(super) async fn claim_all(&self, ids: &[MessageId], duration: Duration) -> Vec<Claimed> {
        let terms = terms("worker", duration);
        self.store.claim(ids, &terms).await.expect("a claim is answered").leased
    }

    /// Claims a message that is queued and due.
    pub(super) async fn claim(&self, id: MessageId, duration: Duration) -> Claimed {
        let mut claimed = self.claim_all(&[id], duration).await;
        assert_eq!(claimed.len(), 1, "what is queued and due can be claimed");
        claimed.remove(0)
    }

    /// Asks for the final dot.
    pub(super) async fn allow_dot(&self, claimed: &Claimed, duration: Duration) {
        let renewal = Renewal { lease: claimed.lease, before_dot: true };
        let held = self.store.renew(vec![renewal], duration).await.expect("a renewal is answered");
        assert_eq!(held, [true], "a lease that nobody took is held");
    }

    /// Writes a result down.
    pub(super) async fn settle(&self, claimed: &Claimed, report: Report, policy: DeliveryPolicy) -> Settled {
        let settlement = settlement(claimed, report, policy);
        let mut results = self.store.settle(vec![Arc::new(settlement)]).await;
        assert_eq!(results.len(), 1, "one result for each settlement");
        results.remove(0).expect("a result can be written down")
    }

    /// Waits until the lease of `id` can be ended, and ends it.
    pub(super) async fn reclaim(&self, id: MessageId, policy: &DeliveryPolicy) -> Reclaimed {
        wait_until("the lease runs out", || async {
            let now = self.now().await;
            let ended = self.store.reclaim(now, 100, policy).await.expect("leases can be ended");
            ended.into_iter().find(|reclaimed| reclaimed.id == id)
        })
        .await
    }

    /// Claims a message with a lease that is then lost, with the final dot allowed or not.
    pub(super) async fn lose(
        &self,
        id: MessageId,
        dot: bool,
        policy: &DeliveryPolicy,
    ) -> (Claimed, Reclaimed) {
        let claimed = self.claim(id, SHORT).await;
        if dot {
            self.allow_dot(&claimed, SHORT).await;
        }
        let reclaimed = self.reclaim(id, policy).await;
        (claimed, reclaimed)
    }

    /// Does what a person asks for.
    pub(super) async fn change(&self, id: MessageId, change: Change) -> Changed {
        self.store.change(None, id, change).await.expect("a change is answered")
    }
}

/// Asks again and again until there is an answer.
pub(in crate::conformance) async fn wait_until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < CONDITION_TIMEOUT, "waited too long until {what}");
        // Polls, since a store gives no signal when its clock has moved.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A draft to [`ANA`].
pub(super) fn draft(subject: &str) -> Draft {
    Draft::new("Shop <shop@example.com>", ANA, subject).text("It is on its way.")
}

/// A draft to [`ANA`] and [`RUI`].
pub(super) fn draft_for_two(subject: &str) -> Draft {
    let mut draft = draft(subject);
    draft.cc = vec![RUI.to_owned()];
    draft
}

/// Terms under a token of their own.
pub(super) fn terms(owner: &str, duration: Duration) -> LeaseTerms {
    let token = Uuid::from_u128(fastrand::u128(..));
    LeaseTerms { owner: owner.to_owned(), token, duration, largest: u64::MAX, dot_up_to: None }
}

/// A key, with a hash that stands for `what`.
pub(super) fn idempotency(key: &str, what: u8, keep: Duration) -> Idempotency {
    Idempotency { tenant: String::new(), key: key.to_owned(), fingerprint: [what; 32], keep }
}

/// Retries at once, for an hour.
pub(super) fn eager() -> DeliveryPolicy {
    let retry = RetryPolicy {
        first: Duration::ZERO,
        cap: Duration::from_secs(60),
        give_up_after: Duration::from_secs(3600),
    };
    DeliveryPolicy { retry, on_unknown: OnUnknown::Retry, poison_after: 3 }
}

/// Retries at once, but parks what may have been sent.
pub(super) fn holding() -> DeliveryPolicy {
    DeliveryPolicy { on_unknown: OnUnknown::Hold, ..eager() }
}

/// Never tries twice.
pub(super) fn impatient() -> DeliveryPolicy {
    let retry = RetryPolicy { give_up_after: Duration::ZERO, ..eager().retry };
    DeliveryPolicy { retry, ..eager() }
}

/// A 250.
pub(super) fn accepted() -> Outcome {
    Outcome::Accepted(Reply::new(Some(250), "2.0.0 taken"))
}

/// A 451.
pub(super) fn deferred() -> Outcome {
    Outcome::Deferred(Reply::new(Some(451), "4.3.0 not now"))
}

/// A 550.
pub(super) fn refused() -> Outcome {
    Outcome::Refused(Reply::new(Some(550), "5.1.1 nobody there"))
}

/// No answer to the final dot.
pub(super) fn ambiguous() -> Outcome {
    Outcome::Ambiguous(Reply::new(None, "the connection broke after the dot"))
}

/// A report of these outcomes.
pub(super) fn report<const N: usize>(outcomes: [(&str, Outcome); N]) -> Report {
    let address = |text: &str| text.parse::<Address>().expect("the suite's addresses are valid");
    let outcomes: Vec<_> = outcomes.into_iter().map(|(to, outcome)| (address(to), outcome)).collect();
    let dot_sent =
        outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Accepted(_) | Outcome::Ambiguous(_)));
    Report {
        relay: Some("smtp://relay.example.com:25".into()),
        dot_sent,
        verdict: Verdict::Answered(outcomes),
    }
}

/// A report that no relay could be reached, or that nothing was sent.
pub(super) fn unsent(verdict: Verdict) -> Report {
    Report { relay: None, dot_sent: false, verdict }
}

/// A result under a claim.
pub(super) fn settlement(claimed: &Claimed, report: Report, policy: DeliveryPolicy) -> Settlement {
    let context = AttemptContext {
        attempt: claimed.delivery.attempt,
        started_at: claimed.claimed_at,
        duration: Duration::from_millis(12),
        age: claimed.age,
        worker: "worker".into(),
        // Fixed, so that a case can compute when the message is due again.
        jitter: 0.5,
    };
    Settlement { lease: claimed.lease, claimed: claimed.delivery.clone(), report, context, policy }
}
