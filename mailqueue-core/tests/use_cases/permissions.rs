//! The permission for the final dot that comes with the claim.

use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::contracts::relay_health::RelayHealth;
use mailqueue_core::deliver::{DeliverOptions, Deliverer, Job};
use mailqueue_core::domain::report::{Outcome, Reply, Report, Verdict};
use mailqueue_core::transport::memory::MemoryTransport;
use mailqueue_core::{DeliveryPolicy, Gate, MessageId, OnUnknown, Outgoing, Status, Transport};

use super::delivering::{claim, deliver, deliverer, never, options};
use super::harness::{FaultyStore, LONG, Method, draft, soon};

/// Refuses every recipient of all but the first message, before it asks the gate.
#[derive(Clone, Default)]
struct Refusing(MemoryTransport);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for Refusing {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        if self.0.sent().is_empty() {
            return self.0.send(message, gate).await;
        }
        let refused = |address: &_| (Clone::clone(address), Outcome::Refused(Reply::new(Some(550), "no")));
        let outcomes = message.recipients.iter().map(refused).collect();
        Report { relay: None, dot_sent: false, verdict: Verdict::Answered(outcomes) }
    }

    async fn ready(&self) -> usize {
        usize::MAX
    }

    fn is_untroubled(&self) -> bool {
        true
    }

    fn relays(&self) -> Vec<RelayHealth> {
        Vec::new()
    }

    fn pause_relays(&self, _: &[String]) {}

    async fn close(&self) {}
}

/// A message that is claimed after the dot of another one has followed soon.
async fn claimed_after_a_dot(store: &FaultyStore, deliverer: &Deliverer) -> (MessageId, Job) {
    let first = store.submit(&draft("one")).await;
    deliver(deliverer, first).await;
    let id = store.submit(&draft("another")).await;
    (id, claim(deliverer, id).await)
}

async fn send(deliverer: &Deliverer, job: Job) {
    let unsettled = soon(deliverer.attempt(job, &never())).await;
    soon(deliverer.settle(unsettled)).await;
}

#[tokio::test]
async fn comes_with_the_claim_where_dots_follow_soon() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    assert!(store.record(id).await.delivery.dot_allowed);
    // The dot needs no further answer.
    store.fail(Method::Renew);
    send(&deliverer, job).await;
    let delivery = store.record(id).await.delivery;
    assert_eq!((delivery.status, delivery.dot_allowed), (Status::Sent, false));
    assert_eq!(transport.sent().len(), 2);
}

#[tokio::test]
async fn does_not_come_with_the_claim_where_nothing_is_known_of_the_relay() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let id = store.submit(&draft("one")).await;
    let job = claim(&deliverer, id).await;
    assert!(!store.record(id).await.delivery.dot_allowed);
    send(&deliverer, job).await;
    assert_eq!(store.calls(Method::Renew), [1]);
}

#[tokio::test]
async fn does_not_come_with_the_claim_for_large_messages() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    deliver(&deliverer, store.submit(&draft("one")).await).await;
    let id = store.submit(&draft("large").text("long ".repeat(20_000))).await;
    let job = claim(&deliverer, id).await;
    assert!(!store.record(id).await.delivery.dot_allowed);
    send(&deliverer, job).await;
    assert_eq!(store.record(id).await.delivery.status, Status::Sent);
}

#[tokio::test]
async fn is_asked_for_with_the_dot_where_doubt_is_held() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let policy = DeliveryPolicy { on_unknown: OnUnknown::Hold, ..options(LONG).policy };
    let deliverer = deliverer(&store, &transport, DeliverOptions { policy, ..options(LONG) });
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    assert!(!store.record(id).await.delivery.dot_allowed);
    send(&deliverer, job).await;
    assert_eq!(store.calls(Method::Renew), [1, 1], "one for each message");
    assert_eq!(store.record(id).await.delivery.status, Status::Sent);
}

#[tokio::test]
async fn leaves_no_doubt_when_the_conversation_ends_before_the_dot() {
    let (store, transport) = (FaultyStore::new().await, Refusing::default());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    send(&deliverer, job).await;
    let delivery = store.record(id).await.delivery;
    assert_eq!(
        (delivery.status, delivery.dot_allowed, delivery.maybe_sent()),
        (Status::Failed, false, false)
    );
}

#[tokio::test]
async fn leaves_no_doubt_when_the_message_is_given_back() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    soon(deliverer.settle(deliverer.give_back(job))).await;
    let delivery = store.record(id).await.delivery;
    assert_eq!((delivery.status, delivery.attempt, delivery.dot_allowed), (Status::Queued, 0, false));
    assert!(!delivery.maybe_sent());
    assert_eq!(transport.sent().len(), 1);
    claim(&deliverer, id).await;
}

#[tokio::test]
async fn is_worth_nothing_once_the_worker_drains() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    let drain = never();
    drain.cancel();
    let unsettled = soon(deliverer.attempt(job, &drain)).await;
    soon(deliverer.settle(unsettled)).await;
    let delivery = store.record(id).await.delivery;
    assert_eq!(
        (delivery.status, delivery.dot_allowed, delivery.maybe_sent()),
        (Status::Queued, false, false)
    );
    assert_eq!(transport.sent().len(), 1);
}

#[tokio::test]
async fn is_asked_for_anew_when_it_is_old() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let lease = Duration::from_millis(900);
    let deliverer = deliverer(&store, &transport, options(lease));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    store.pass(lease / 3).await;
    // Without an answer no dot is sent.
    store.fail(Method::Renew);
    send(&deliverer, job).await;
    assert_eq!(store.record(id).await.delivery.status, Status::Queued);
    assert_eq!(transport.sent().len(), 1);
}

/// Asks the gate for two dots in a row, and sends neither.
#[derive(Clone)]
struct Twice(tokio::sync::mpsc::UnboundedSender<[bool; 2]>);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for Twice {
    async fn send(&self, _: &Outgoing, gate: &dyn Gate) -> Report {
        let answers = [gate.may_send_dot().await, gate.may_send_dot().await];
        self.0.send(answers).expect("somebody listens");
        Report { relay: None, dot_sent: false, verdict: Verdict::Withheld }
    }

    async fn ready(&self) -> usize {
        usize::MAX
    }

    fn is_untroubled(&self) -> bool {
        true
    }

    fn relays(&self) -> Vec<RelayHealth> {
        Vec::new()
    }

    fn pause_relays(&self, _: &[String]) {}

    async fn close(&self) {}
}

#[tokio::test]
async fn is_for_one_dot() {
    let (answers, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let store = FaultyStore::new().await;
    let deliverer = deliverer(&store, &Twice(answers), options(LONG));
    let (_, job) = claimed_after_a_dot(&store, &deliverer).await;
    assert_eq!(asked.recv().await, Some([true, true]));
    store.fail(Method::Renew);
    send(&deliverer, job).await;
    assert_eq!(asked.recv().await, Some([true, false]));
}
