//! The permission for the final dot, asked for before its turn.

use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::deliver::{DeliverOptions, Deliverer, Job};
use mailqueue_core::domain::report::{Outcome, Reply, Report, Verdict};
use mailqueue_core::transport::memory::MemoryTransport;
use mailqueue_core::{DeliveryPolicy, Gate, MessageId, OnUnknown, Outgoing, Status, Transport};

use super::delivering::{claim, deliver, deliverer, never, options};
use super::harness::{FaultyStore, LONG, Method, Mood, draft, soon, until};

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

    async fn close(&self) {}
}

/// A message that is claimed after the dot of another one has followed soon.
async fn claimed_after_a_dot(store: &FaultyStore, deliverer: &Deliverer) -> (MessageId, Job) {
    let first = store.submit(&draft("one")).await;
    deliver(deliverer, first).await;
    let id = store.submit(&draft("another")).await;
    (id, claim(deliverer, id).await)
}

/// An attempt once `turn` is there, and its result written down.
async fn send_in_turn(deliverer: &Deliverer, job: Job, turn: impl Future<Output = Option<()>> + Send) {
    let unsettled = soon(deliverer.attempt_in_turn(job, &never(), turn)).await;
    soon(deliverer.settle(unsettled)).await;
}

#[tokio::test]
async fn is_asked_for_ahead_where_dots_follow_soon() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    let turn = async {
        until(|| async { store.record(id).await.delivery.dot_allowed.then_some(()) }).await;
        // The dot needs no further answer.
        store.fail(Method::Renew);
        Some(())
    };
    send_in_turn(&deliverer, job, turn).await;
    let record = store.record(id).await;
    assert_eq!((record.delivery.status, record.delivery.dot_allowed), (Status::Sent, false));
    assert_eq!(transport.sent().len(), 2);
}

#[tokio::test]
async fn is_asked_for_with_the_dot_where_doubt_is_held() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let policy = DeliveryPolicy { on_unknown: OnUnknown::Hold, ..options(LONG).policy };
    let deliverer = deliverer(&store, &transport, DeliverOptions { policy, ..options(LONG) });
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    let turn = async {
        // Whatever is asked for beside this has been asked for by then.
        tokio::task::yield_now().await;
        assert_eq!(store.calls(Method::Renew).len(), 1, "for the first message alone");
        Some(())
    };
    send_in_turn(&deliverer, job, turn).await;
    assert_eq!(store.record(id).await.delivery.status, Status::Sent);
}

#[tokio::test]
async fn leaves_no_doubt_when_the_conversation_ends_before_the_dot() {
    let (store, transport) = (FaultyStore::new().await, Refusing::default());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    let turn = async {
        until(|| async { store.record(id).await.delivery.dot_allowed.then_some(()) }).await;
        Some(())
    };
    send_in_turn(&deliverer, job, turn).await;
    let delivery = store.record(id).await.delivery;
    assert_eq!(
        (delivery.status, delivery.dot_allowed, delivery.maybe_sent()),
        (Status::Failed, false, false)
    );
}

#[tokio::test]
async fn is_worth_nothing_without_a_turn() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    let turn = async {
        until(|| async { store.record(id).await.delivery.dot_allowed.then_some(()) }).await;
        None::<()>
    };
    send_in_turn(&deliverer, job, turn).await;
    let record = store.record(id).await;
    let delivery = &record.delivery;
    assert_eq!((delivery.status, delivery.attempt, delivery.dot_allowed), (Status::Queued, 0, false));
    assert_eq!(transport.sent().len(), 1);
    claim(&deliverer, id).await;
}

#[tokio::test]
async fn is_asked_for_again_where_no_answer_came() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    store.fail(Method::Renew);
    let turn = async {
        store.called(Method::Renew, 2).await;
        store.set(Method::Renew, Mood::Good);
        Some(())
    };
    send_in_turn(&deliverer, job, turn).await;
    assert_eq!(store.record(id).await.delivery.status, Status::Sent);
}

#[tokio::test]
async fn holds_up_no_drain_while_it_is_asked_for() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let deliverer = deliverer(&store, &transport, options(Duration::from_secs(60)));
    let (id, job) = claimed_after_a_dot(&store, &deliverer).await;
    store.set(Method::Renew, Mood::Holding);
    let drain = never();
    let attempt = deliverer.attempt_in_turn(job, &drain, std::future::ready(Some(())));
    let drained = async {
        store.called(Method::Renew, 2).await;
        drain.cancel();
    };
    let (unsettled, ()) = soon(async { tokio::join!(attempt, drained) }).await;
    soon(deliverer.settle(unsettled)).await;
    assert_eq!(store.record(id).await.delivery.status, Status::Queued);
    assert_eq!(transport.sent().len(), 1, "given back");
}
