//! One attempt after another, while leases, stores, transports and queues fail.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::conformance::lossy_queue::{Faults, LossyQueue};
use mailqueue_core::contracts::relay_health::RelayHealth;
use mailqueue_core::deliver::{DeliverOptions, Deliverer, Job};
use mailqueue_core::domain::attempt::AttemptOutcome;
use mailqueue_core::domain::report::{Outcome, Reply, Report, Verdict};
use mailqueue_core::health::{Health, HealthOptions};
use mailqueue_core::queue::local::LocalQueue;
use mailqueue_core::sweep::{SweepOptions, Sweeper};
use mailqueue_core::transport::memory::MemoryTransport;
use mailqueue_core::{
    DeliveryPolicy, Draft, Gate, Lane, MessageId, OnUnknown, Outgoing, Queue, Record, RetryPolicy, Status,
    StoreError, Transport,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::harness::{FaultyStore, LONG, Method, Mood, draft, eager, soon, until};

pub(crate) fn deliverer(
    store: &Arc<FaultyStore>,
    transport: &(impl Transport + Clone),
    options: DeliverOptions,
) -> Deliverer {
    let health = Health::new(Arc::clone(store) as _, HealthOptions::for_lease(options.lease));
    Deliverer::new(Arc::clone(store) as _, Arc::new(transport.clone()), health, options)
}

pub(crate) fn options(lease: Duration) -> DeliverOptions {
    DeliverOptions { worker: "w1".into(), policy: eager(), lease }
}

pub(crate) fn never() -> CancellationToken {
    CancellationToken::new()
}

pub(crate) async fn claim(deliverer: &Deliverer, id: MessageId) -> Job {
    let mut jobs = deliverer.claim(&[id], u64::MAX).await.expect("a claim is answered").jobs;
    assert_eq!(jobs.len(), 1, "what is queued and due can be claimed");
    jobs.remove(0)
}

/// One whole attempt.
pub(crate) async fn deliver(deliverer: &Deliverer, id: MessageId) {
    let job = claim(deliverer, id).await;
    let unsettled = soon(deliverer.attempt(job, &never())).await;
    soon(deliverer.settle(unsettled)).await;
}

/// Where a message stands, how many attempts count, and how they ended.
fn told(record: &Record) -> (Status, u32, Vec<AttemptOutcome>) {
    let delivery = &record.delivery;
    let outcomes = delivery.attempts.iter().map(|attempt| attempt.outcome).collect();
    (delivery.status, delivery.attempt, outcomes)
}

/// What a transport does that asks the gate and then does as it likes.
#[derive(Clone)]
struct PastGate {
    /// Told when the gate has answered `true`.
    allowed: Arc<Notify>,
    /// Waited for before it goes on; panics instead where there is none.
    go_on: Option<Arc<Notify>>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for PastGate {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        assert!(gate.may_send_dot().await, "the lease is held");
        self.allowed.notify_one();
        match &self.go_on {
            Some(go_on) => go_on.notified().await,
            None => panic!("on purpose, past the gate"),
        }
        Report { relay: None, dot_sent: true, verdict: MemoryTransport::accept(message) }
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

/// A transport that never gets to the gate.
#[derive(Clone)]
struct Stuck(Arc<Notify>);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for Stuck {
    async fn send(&self, _: &Outgoing, _: &dyn Gate) -> Report {
        self.0.notify_one();
        std::future::pending().await
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
async fn sends_and_writes_down() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    deliver(&deliverer(&store, &transport, options(LONG)), id).await;
    let record = store.record(id).await;
    assert_eq!(told(&record), (Status::Sent, 1, vec![AttemptOutcome::Sent]));
    assert_eq!(record.delivery.attempts[0].worker, "w1");
    let sent = transport.sent();
    assert_eq!((sent.len(), sent[0].id, sent[0].sender.as_str()), (1, id, "shop@example.com"));
    assert_eq!(Some(sent[0].raw.to_vec()), record.raw);
}

#[tokio::test]
async fn asks_again_only_for_whom_it_must() {
    let store = FaultyStore::new().await;
    let transport = MemoryTransport::scripted(|message| {
        let outcome = |address: &mailqueue_core::domain::address::Address| match address.local() {
            "rui" if message.recipients.len() > 1 => Outcome::Deferred(Reply::new(Some(451), "later")),
            _ => Outcome::Accepted(Reply::new(Some(250), "taken")),
        };
        Verdict::Answered(message.recipients.iter().map(|to| (to.clone(), outcome(to))).collect())
    });
    let two = Draft { bcc: vec!["rui@example.net".into()], ..draft("an order") };
    let id = store.submit(&two).await;
    let deliverer = deliverer(&store, &transport, options(LONG));
    deliver(&deliverer, id).await;
    assert_eq!(told(&store.record(id).await), (Status::Queued, 1, vec![AttemptOutcome::Partial]));
    deliver(&deliverer, id).await;
    assert_eq!(store.record(id).await.delivery.status, Status::Sent);
    let to: Vec<Vec<String>> = transport
        .sent()
        .iter()
        .map(|sent| sent.recipients.iter().map(ToString::to_string).collect())
        .collect();
    assert_eq!(to, [["ana@example.org"], ["rui@example.net"]]);
}

/// The worker was away from the store until somebody else took its message.
#[tokio::test]
async fn sends_no_dot_without_the_lease() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    store.fail(Method::Renew);
    let deliverer = deliverer(&store, &transport, options(Duration::from_millis(30)));
    let job = claim(&deliverer, id).await;
    assert!(!store.end_lease(id).await.ambiguous);
    let other = store.claim(&[id], LONG).await;
    assert_eq!(other.len(), 1);
    store.set(Method::Renew, Mood::Good);
    let unsettled = soon(deliverer.attempt(job, &never())).await;
    assert!(transport.sent().is_empty());
    soon(deliverer.settle(unsettled)).await;
    let record = store.record(id).await;
    assert_eq!(told(&record), (Status::Sending, 2, vec![AttemptOutcome::LeaseLost]), "it is the other's");
    assert!(!record.delivery.dot_allowed);
}

/// A transport that hangs is left as soon as the lease is known to be lost.
#[tokio::test]
async fn ends_an_attempt_whose_lease_is_lost() {
    let (store, stuck) = (FaultyStore::new().await, Stuck(Arc::default()));
    let id = store.submit(&draft("an order")).await;
    store.fail(Method::Renew);
    let deliverer = deliverer(&store, &stuck, options(Duration::from_millis(30)));
    let job = claim(&deliverer, id).await;
    store.end_lease(id).await;
    store.set(Method::Renew, Mood::Good);
    soon(deliverer.settle(soon(deliverer.attempt(job, &never())).await)).await;
    assert_eq!(told(&store.record(id).await), (Status::Queued, 1, vec![AttemptOutcome::LeaseLost]));
}

#[tokio::test]
async fn sends_no_dot_while_the_store_is_away() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    store.fail(Method::Renew);
    deliver(&deliverer(&store, &transport, options(LONG)), id).await;
    assert!(transport.sent().is_empty());
    assert_eq!(told(&store.record(id).await), (Status::Queued, 0, vec![]), "the attempt is given back");
}

#[tokio::test]
async fn sends_no_dot_on_an_old_answer() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    let lease = Duration::from_millis(900);
    let deliverer = deliverer(&store, &transport, options(lease));
    let job = claim(&deliverer, id).await;
    store.set(Method::Renew, Mood::Holding);
    let release = async {
        store.called(Method::Renew, 1).await;
        store.pass(lease / 3).await;
        store.set(Method::Renew, Mood::Good);
    };
    let token = never();
    let (unsettled, ()) = soon(async { tokio::join!(deliverer.attempt(job, &token), release) }).await;
    assert!(transport.sent().is_empty());
    soon(deliverer.settle(unsettled)).await;
    assert_eq!(told(&store.record(id).await), (Status::Queued, 0, vec![]));
}

#[tokio::test]
async fn gives_back_what_it_has_not_sent_when_it_drains() {
    let (store, stuck) = (FaultyStore::new().await, Stuck(Arc::default()));
    let id = store.submit(&draft("an order")).await;
    let deliverer = deliverer(&store, &stuck, options(LONG));
    let (job, drain) = (claim(&deliverer, id).await, never());
    let begun = async {
        stuck.0.notified().await;
        drain.cancel();
    };
    let (unsettled, ()) = soon(async { tokio::join!(deliverer.attempt(job, &drain), begun) }).await;
    soon(deliverer.settle(unsettled)).await;
    assert_eq!(told(&store.record(id).await), (Status::Queued, 0, vec![]));
    assert_eq!(store.claim(&[id], LONG).await.len(), 1, "another worker can have it at once");
}

#[tokio::test]
async fn shuts_the_gate_when_it_drains() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (job, drain) = (claim(&deliverer, id).await, never());
    drain.cancel();
    soon(deliverer.settle(soon(deliverer.attempt(job, &drain)).await)).await;
    assert!(transport.sent().is_empty());
    assert_eq!(told(&store.record(id).await), (Status::Queued, 0, vec![]));
}

/// Only what was withheld is another worker's to take at once: a server that said "later" means it.
#[tokio::test]
async fn a_server_that_says_later_is_heard_while_it_drains() {
    let (store, drain) = (FaultyStore::new().await, never());
    let draining = drain.clone();
    let transport = MemoryTransport::scripted(move |message| {
        draining.cancel();
        let later = Outcome::Deferred(Reply::new(Some(451), "later"));
        Verdict::Answered(message.recipients.iter().map(|to| (to.clone(), later.clone())).collect())
    });
    let id = store.submit(&draft("an order")).await;
    // A window so wide that chance does not choose "at once" out of it.
    let years = Duration::from_secs(10 * 365 * 24 * 3600);
    let retry = RetryPolicy { first: years, cap: years, give_up_after: years * 2 };
    let policy = DeliveryPolicy { retry, ..eager() };
    let deliverer = deliverer(&store, &transport, DeliverOptions { policy, ..options(LONG) });
    let job = claim(&deliverer, id).await;
    soon(deliverer.settle(soon(deliverer.attempt(job, &drain)).await)).await;
    let record = store.record(id).await;
    assert_eq!(told(&record), (Status::Queued, 1, vec![AttemptOutcome::Deferred]));
    assert!(record.due_at > store.now().await, "it waits");
}

#[tokio::test]
async fn waits_for_the_answer_to_a_dot_while_it_drains() {
    let store = FaultyStore::new().await;
    let transport = PastGate { allowed: Arc::default(), go_on: Some(Arc::default()) };
    let id = store.submit(&draft("an order")).await;
    let deliverer = deliverer(&store, &transport, options(LONG));
    let (job, drain) = (claim(&deliverer, id).await, never());
    let mut attempt = Box::pin(deliverer.attempt(job, &drain));
    tokio::select! {
        _ = &mut attempt => panic!("the answer has not come"),
        () = transport.allowed.notified() => drain.cancel(),
    }
    assert!(futures_util::poll!(&mut attempt).is_pending(), "the dot is out: its answer is waited for");
    transport.go_on.as_ref().expect("it waits").notify_one();
    soon(deliverer.settle(soon(attempt).await)).await;
    assert_eq!(store.record(id).await.delivery.status, Status::Sent);
}

#[tokio::test]
async fn a_panic_costs_only_its_own_message_an_attempt() {
    let store = FaultyStore::new().await;
    let transport = MemoryTransport::scripted(|message| {
        assert!(!message.raw.windows(4).any(|octets| octets == b"trap"), "on purpose");
        MemoryTransport::accept(message)
    });
    let mut ids = Vec::new();
    for subject in ["one", "a trap", "another"] {
        ids.push(store.submit(&draft(subject)).await);
    }
    let deliverer = deliverer(&store, &transport, options(LONG));
    for id in &ids {
        deliver(&deliverer, *id).await;
    }
    let told: Vec<_> = [told(&store.record(ids[0]).await), told(&store.record(ids[1]).await)].into();
    assert_eq!(told[0], (Status::Sent, 1, vec![AttemptOutcome::Sent]));
    assert_eq!(told[1], (Status::Queued, 1, vec![AttemptOutcome::Deferred]));
    assert_eq!(transport.sent().len(), 2);
}

#[tokio::test]
async fn a_panic_past_the_gate_is_ambiguous() {
    for (on_unknown, status) in [(OnUnknown::Retry, Status::Queued), (OnUnknown::Hold, Status::Unknown)] {
        let store = FaultyStore::new().await;
        let transport = PastGate { allowed: Arc::default(), go_on: None };
        let id = store.submit(&draft("an order")).await;
        let policy = DeliveryPolicy { on_unknown, ..eager() };
        deliver(&deliverer(&store, &transport, DeliverOptions { policy, ..options(LONG) }), id).await;
        let record = store.record(id).await;
        assert_eq!(told(&record), (status, 1, vec![AttemptOutcome::Ambiguous]));
        assert!(record.delivery.maybe_sent());
    }
}

#[tokio::test]
async fn keeps_a_result_and_its_lease_while_the_store_is_away() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    let lease = Duration::from_millis(900);
    let deliverer = deliverer(&store, &transport, options(lease));
    let job = claim(&deliverer, id).await;
    let unsettled = soon(deliverer.attempt(job, &never())).await;
    store.fail(Method::Settle);
    let settling = tokio::spawn({
        let deliverer = deliverer.clone();
        async move { deliverer.settle(unsettled).await }
    });
    store.called(Method::Settle, 3).await;
    store.pass(lease * 2).await;
    let ended = store.inner.reclaim(store.now().await, 10, &eager()).await.expect("an answer");
    assert!(ended.is_empty(), "the lease was renewed meanwhile");
    store.set(Method::Settle, Mood::Good);
    soon(settling).await.expect("it settles");
    assert_eq!(told(&store.record(id).await), (Status::Sent, 1, vec![AttemptOutcome::Sent]));
}

#[tokio::test]
async fn insists_on_no_result_that_the_store_refuses() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    store.set(Method::Settle, Mood::Failing(StoreError::Refused("on purpose".into())));
    deliver(&deliverer(&store, &transport, options(LONG)), id).await;
    assert_eq!(store.calls(Method::Settle), [1]);
    assert_eq!(store.record(id).await.delivery.status, Status::Sending, "its lease will run out");
}

#[tokio::test]
async fn claims_nothing_twice() {
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let id = store.submit(&draft("an order")).await;
    let [one, other] = [(), ()].map(|()| deliverer(&store, &transport, options(LONG)));
    let (twice, once) = ([id, id], [id]);
    let (one, other) = tokio::join!(one.claim(&twice, u64::MAX), other.claim(&once, u64::MAX));
    assert_eq!(one.expect("an answer").jobs.len() + other.expect("an answer").jobs.len(), 1);
}

/// Pulls and delivers until it is told to stop.
async fn work(deliverer: Deliverer, queue: Arc<impl Queue>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let ids = queue.pull(&Lane::ALL, 8, Duration::from_millis(5)).await.unwrap_or_default().ids;
        let jobs = deliverer.claim(&ids, u64::MAX).await.expect("the store answers").jobs;
        let one = async |job| deliverer.settle(deliverer.attempt(job, &stop.child_token()).await).await;
        futures_util::future::join_all(jobs.into_iter().map(one)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_once_through_a_lossy_queue() {
    const COUNT: usize = 150;
    let (store, transport) = (FaultyStore::new().await, MemoryTransport::new());
    let queue = Arc::new(LossyQueue::new(LocalQueue::new(), Faults::SOME, 11));
    let mut ids = Vec::with_capacity(COUNT);
    for n in 0..COUNT {
        ids.push(store.submit(&draft(&format!("number {n}"))).await);
    }
    let stop = never();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn(work(deliverer(&store, &transport, options(LONG)), Arc::clone(&queue), stop.clone()))
        })
        .collect();
    let options = SweepOptions { policy: eager(), ..SweepOptions::default() };
    let health = Health::new(Arc::clone(&store) as _, HealthOptions { grace: LONG, gap: LONG });
    let sweeper = Sweeper::new(Arc::clone(&store) as _, Arc::clone(&queue) as _, health, options);
    until(|| async {
        sweeper.pass().await.expect("the store answers");
        let left = store.inner.backlog(10).await.expect("the backlog is counted");
        (left.queued + left.sending == 0).then_some(())
    })
    .await;
    stop.cancel();
    for worker in workers {
        soon(worker).await.expect("a worker ends well");
    }
    let sent: Vec<MessageId> = transport.sent().iter().map(|sent| sent.id).collect();
    assert_eq!(sent.len(), COUNT, "nothing twice");
    assert_eq!(sent.iter().collect::<HashSet<_>>(), ids.iter().collect(), "nothing lost");
    for id in ids {
        assert_eq!(told(&store.record(id).await), (Status::Sent, 1, vec![AttemptOutcome::Sent]));
    }
}
