//! What a sweep puts right.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailqueue_core::conformance::lossy_queue::{Faults, LossyQueue};
use mailqueue_core::contracts::store::{Change, Pruned, Renewal};
use mailqueue_core::deliver::{DeliverOptions, Deliverer};
use mailqueue_core::health::{Health, HealthOptions, Unready};
use mailqueue_core::queue::local::LocalQueue;
use mailqueue_core::sweep::{SweepOptions, Sweeper, Swept};
use mailqueue_core::transport::memory::MemoryTransport;
use mailqueue_core::{Draft, Entry, Lane, MessageId, Queue, Retention, Status, StoreError};
use tokio_util::sync::CancellationToken;

use super::harness::{FaultyStore, LONG, Method, Mood, draft, eager, soon, until};

/// A lease that has run out as soon as somebody looks.
const SHORT: Duration = Duration::from_millis(1);

fn options() -> SweepOptions {
    SweepOptions { policy: eager(), ..SweepOptions::default() }
}

/// A sweeper that believes in lost leases after a grace period.
fn sweeper(store: &Arc<FaultyStore>, queue: &Arc<impl Queue>, grace: Duration) -> Sweeper {
    sweeper_with(store, queue, health(store, grace), options())
}

fn sweeper_with(
    store: &Arc<FaultyStore>,
    queue: &Arc<impl Queue>,
    health: Arc<Health>,
    options: SweepOptions,
) -> Sweeper {
    Sweeper::new(Arc::clone(store) as _, Arc::clone(queue) as _, health, options)
}

fn health(store: &Arc<FaultyStore>, grace: Duration) -> Arc<Health> {
    Health::new(Arc::clone(store) as _, HealthOptions { grace, gap: GAP })
}

/// The longest time between two passes that is no outage.
const GAP: Duration = Duration::from_secs(1);

async fn pass(sweeper: &Sweeper) -> Swept {
    sweeper.pass().await.expect("the store answers")
}

async fn pull(queue: &impl Queue, most: usize) -> Vec<MessageId> {
    queue.pull(&Lane::ALL, most, Duration::ZERO).await.unwrap_or_default().ids
}

async fn submit_some(store: &FaultyStore, count: usize) -> Vec<MessageId> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        ids.push(store.submit(&draft(&format!("number {n}"))).await);
    }
    ids
}

/// As [`submit_some`], each due later than the one before: of messages due in the same instant none is the first.
async fn submit_in_turn(store: &FaultyStore, count: usize) -> Vec<MessageId> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        ids.push(store.submit(&draft(&format!("number {n}"))).await);
        store.pass(Duration::ZERO).await;
    }
    ids
}

#[tokio::test]
async fn refills_a_queue_that_was_lost() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let ids = submit_in_turn(&store, 5).await;
    let later = draft("later").at(store.now().await + LONG);
    store.submit(&later).await;
    let sweeper = sweeper(&store, &queue, LONG);
    let swept = pass(&sweeper).await;
    assert_eq!((swept.refilled, swept.backlog), (5, false), "what is scheduled has time");
    assert_eq!(pass(&sweeper).await.refilled, 0, "the head says that they are there");
    assert_eq!(pull(&*queue, 100).await, ids, "those due first come first");
    assert_eq!(pass(&sweeper).await.refilled, 5, "nobody has claimed them");
}

#[tokio::test]
async fn refills_nothing_where_nothing_waits() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let swept = pass(&sweeper(&store, &queue, Duration::ZERO)).await;
    assert_eq!((swept.refilled, swept.reclaimed, swept.pruned), (0, 0, Pruned::default()));
    assert_eq!(queue.depth(Lane::Normal).await.expect("a depth"), 0);
}

/// An idle deployment asks its store little: one write and one read a pass.
#[tokio::test]
async fn an_idle_pass_asks_the_store_twice() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let sweeper = sweeper(&store, &queue, Duration::ZERO);
    for _ in 0..5 {
        assert_eq!(pass(&sweeper).await.whole, [true; 3]);
    }
    let asked = [Method::Probe, Method::Due, Method::Reclaim, Method::Backlog];
    assert_eq!(asked.map(|method| store.calls(method).len()), [5, 5, 0, 0]);
}

#[tokio::test]
async fn says_whether_the_queue_was_whole() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let sweeper = sweeper(&store, &queue, LONG);
    assert_eq!(pass(&sweeper).await.whole, [true; 3], "nothing waits");
    submit_some(&store, 1).await;
    assert_eq!(pass(&sweeper).await.whole, [true, false, true], "it was put back");
    assert_eq!(
        pass(&sweeper).await.whole,
        [true, false, true],
        "what is in it tells nothing of what lies behind"
    );
    let queue = Arc::new(LossyQueue::new(LocalQueue::new(), Faults { failed: 1.0, ..Faults::NONE }, 7));
    assert_eq!(pass(&sweeper_with(&store, &queue, health(&store, LONG), options())).await.whole, [false; 3]);
}

#[tokio::test]
async fn refills_what_is_due_before_the_head() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let missing = store.submit(&draft("missing")).await;
    // What is due within the margin before the head may still be on its way.
    store.pass(Duration::from_millis(300)).await;
    let there = store.submit(&draft("there")).await;
    let due_at = store.record(there).await.due_at;
    queue.push(&[Entry { lane: Lane::Normal, due_at, id: there }]).await.expect("a push");
    assert_eq!(pass(&sweeper(&store, &queue, LONG)).await.refilled, 1);
    assert_eq!(pull(&*queue, 100).await, [missing, there]);
}

#[tokio::test]
async fn refills_each_lane_on_its_own() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let mut ids = Vec::new();
    for lane in Lane::ALL {
        ids.push(store.submit(&Draft { lane, ..draft(lane.as_str()) }).await);
    }
    assert_eq!(pass(&sweeper(&store, &queue, LONG)).await.refilled, 3);
    for (lane, id) in Lane::ALL.into_iter().zip(ids) {
        assert_eq!(queue.pull(&[lane], 10, Duration::ZERO).await.expect("a pull").ids, [id]);
    }
}

/// Sweeps, pulls and claims until every message has been claimed; each once, or the claims would be more.
async fn drain(store: &Arc<FaultyStore>, queue: &Arc<impl Queue>, ids: &[MessageId]) {
    let sweeper = sweeper(store, queue, LONG);
    let mut claimed = Vec::new();
    soon(async {
        while claimed.len() < ids.len() {
            pass(&sweeper).await;
            let pulled = pull(&**queue, 7).await;
            claimed.extend(store.claim(&pulled, LONG).await.into_iter().map(|claimed| claimed.lease.id));
        }
    })
    .await;
    let distinct: HashSet<MessageId> = claimed.iter().copied().collect();
    assert_eq!(distinct, ids.iter().copied().collect());
    assert_eq!(claimed.len(), ids.len());
}

#[tokio::test]
async fn a_queue_with_a_cap_gets_everything_in_time() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::with_cap(3)));
    let ids = submit_some(&store, 20).await;
    pass(&sweeper(&store, &queue, LONG)).await;
    assert_eq!(queue.depth(Lane::Normal).await.expect("a depth"), 3);
    drain(&store, &queue, &ids).await;
}

#[tokio::test]
async fn a_lossy_queue_gets_everything_in_time() {
    let store = FaultyStore::new().await;
    let queue = Arc::new(LossyQueue::new(LocalQueue::new(), Faults::SOME, 7));
    let ids = submit_some(&store, 60).await;
    drain(&store, &queue, &ids).await;
}

#[tokio::test]
async fn a_queue_that_is_away_keeps_nothing_from_being_reclaimed() {
    let store = FaultyStore::new().await;
    let away = Faults { failed: 1.0, ..Faults::NONE };
    let queue = Arc::new(LossyQueue::new(LocalQueue::new(), away, 7));
    let ids = submit_some(&store, 1).await;
    store.claim(&ids, SHORT).await;
    let sweeper = sweeper(&store, &queue, Duration::ZERO);
    let swept = until(|| async { Some(pass(&sweeper).await).filter(|swept| swept.reclaimed > 0) }).await;
    assert_eq!((swept.reclaimed, swept.refilled), (1, 0));
}

#[tokio::test]
async fn ends_leases_that_ran_out() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let ids = submit_some(&store, 3).await;
    store.claim(&ids[..1], SHORT).await;
    let past_dot = store.claim(&ids[1..2], SHORT).await;
    let renewal = Renewal { lease: past_dot[0].lease, before_dot: true };
    assert_eq!(store.inner.renew(vec![renewal], SHORT).await.expect("a renewal"), [true]);
    store.claim(&ids[2..], LONG).await;
    let sweeper = sweeper(&store, &queue, Duration::ZERO);
    let mut reclaimed = 0;
    soon(async {
        while reclaimed < 2 {
            reclaimed += pass(&sweeper).await.reclaimed;
        }
    })
    .await;
    let (before, past, held) =
        (store.record(ids[0]).await, store.record(ids[1]).await, store.record(ids[2]).await);
    assert_eq!((before.delivery.status, before.delivery.maybe_sent()), (Status::Queued, false));
    assert_eq!((past.delivery.status, past.delivery.maybe_sent()), (Status::Queued, true));
    assert_eq!((held.delivery.status, reclaimed), (Status::Sending, 2));
}

/// Makes passes until one ends a lease.
async fn until_reclaimed(sweeper: &Sweeper) {
    until(|| async { (pass(sweeper).await.reclaimed > 0).then_some(()) }).await;
}

const GRACE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn believes_in_no_lost_lease_at_first() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let ids = submit_some(&store, 1).await;
    store.claim(&ids, SHORT).await;
    store.pass(SHORT).await;
    let start = Instant::now();
    let sweeper = sweeper(&store, &queue, GRACE);
    until_reclaimed(&sweeper).await;
    assert!(start.elapsed() >= GRACE);
}

#[tokio::test]
async fn believes_in_no_lost_lease_right_after_an_outage() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let sweeper = sweeper(&store, &queue, GRACE);
    let ids = submit_some(&store, 2).await;
    store.claim(&ids[..1], SHORT).await;
    until_reclaimed(&sweeper).await;
    store.claim(&ids[1..], SHORT).await;
    store.fail(Method::Probe);
    assert!(matches!(sweeper.pass().await, Err(StoreError::Unavailable(_))));
    // However long it lasted: the grace begins with the first write that succeeds.
    store.pass(GRACE * 2).await;
    store.set(Method::Probe, Mood::Good);
    let start = Instant::now();
    until_reclaimed(&sweeper).await;
    assert!(start.elapsed() >= GRACE);
}

#[tokio::test]
async fn a_store_that_only_answers_reads_is_not_there() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let health = health(&store, Duration::ZERO);
    let ids = submit_some(&store, 1).await;
    store.claim(&ids, SHORT).await;
    store.pass(SHORT).await;
    store.fail(Method::Probe);
    let sweeper = sweeper_with(&store, &queue, Arc::clone(&health), options());
    for _ in 0..3 {
        assert!(matches!(sweeper.pass().await, Err(StoreError::Unavailable(_))));
    }
    assert!(matches!(health.check().await, Err(Unready::Store(_))));
    assert_eq!(store.record(ids[0]).await.delivery.status, Status::Sending, "nobody could write it down");
}

#[tokio::test]
async fn a_failed_step_keeps_the_others_from_nothing() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let sweeper = sweeper_with(
        &store,
        &queue,
        health(&store, Duration::ZERO),
        SweepOptions {
            retention: Retention { content: Duration::ZERO, record: Duration::ZERO },
            ..options()
        },
    );
    let ids = submit_some(&store, 2).await;
    store.claim(&ids[..1], SHORT).await;
    store.inner.change(None, ids[1], Change::Cancel).await.expect("a change is answered");
    store.pass(Duration::from_millis(20)).await;
    store.fail(Method::Due);
    assert!(matches!(sweeper.pass().await, Err(StoreError::Unavailable(_))), "the first fault is told");
    assert_eq!(store.record(ids[0]).await.delivery.status, Status::Queued, "its lease was ended");
    assert!(store.inner.get(None, ids[1]).await.expect("an answer").is_none(), "it was forgotten");
}

/// What this process has done and could not write down goes before what it may believe of others.
#[tokio::test]
async fn believes_in_no_lost_lease_while_a_result_waits() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let health = health(&store, GRACE);
    let lease = Duration::from_secs(600);
    let deliver = DeliverOptions { worker: "w1".into(), policy: eager(), lease };
    let transport = Arc::new(MemoryTransport::new());
    let deliverer = Deliverer::new(Arc::clone(&store) as _, transport, Arc::clone(&health), deliver);
    let ids = submit_some(&store, 2).await;
    let job = deliverer.claim(&ids[..1], u64::MAX).await.expect("a claim").jobs.remove(0);
    let unsettled = soon(deliverer.attempt(job, &CancellationToken::new())).await;
    store.fail(Method::Settle);
    let settling = tokio::spawn(async move { deliverer.settle(unsettled).await });
    store.called(Method::Settle, 2).await;
    store.claim(&ids[1..], SHORT).await;
    let sweeper = sweeper_with(&store, &queue, Arc::clone(&health), options());
    let until_grace_is_over = Instant::now() + GRACE * 2;
    while Instant::now() < until_grace_is_over {
        assert_eq!(pass(&sweeper).await.reclaimed, 0, "a result waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store.set(Method::Settle, Mood::Good);
    soon(settling).await.expect("it settles");
    until_reclaimed(&sweeper).await;
}

/// A store, or this process, that stood still is an outage too, though no call failed.
#[tokio::test]
async fn believes_in_no_lost_lease_after_standing_still() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let sweeper = Arc::new(sweeper(&store, &queue, GRACE));
    let ids = submit_some(&store, 1).await;
    store.claim(&ids, SHORT).await;
    store.set(Method::Probe, Mood::Holding);
    let held_up = tokio::spawn({
        let sweeper = Arc::clone(&sweeper);
        async move { pass(&sweeper).await }
    });
    store.called(Method::Probe, 1).await;
    store.pass(GAP + Duration::from_millis(100)).await;
    store.set(Method::Probe, Mood::Good);
    assert_eq!(soon(held_up).await.expect("a pass").reclaimed, 0, "though it is long after the grace period");
    until_reclaimed(&sweeper).await;
}

fn keeping(content: Duration, record: Duration) -> SweepOptions {
    SweepOptions { retention: Retention { content, record }, ..options() }
}

fn forgetting(store: &Arc<FaultyStore>, queue: &Arc<impl Queue>, options: SweepOptions) -> Sweeper {
    sweeper_with(store, queue, health(store, LONG), options)
}

#[tokio::test]
async fn forgets_what_is_finished_and_old() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let ids = submit_some(&store, 2).await;
    store.inner.change(None, ids[0], Change::Cancel).await.expect("a change is answered");
    store.pass(Duration::from_millis(1)).await;
    let pruned = pass(&forgetting(&store, &queue, keeping(Duration::ZERO, LONG))).await.pruned;
    assert_eq!(pruned, Pruned { contents: 1, ..Pruned::default() });
    assert!(store.record(ids[0]).await.raw.is_none());
    assert_eq!(pass(&forgetting(&store, &queue, keeping(LONG, LONG))).await.pruned, Pruned::default());
    let pruned = pass(&forgetting(&store, &queue, keeping(Duration::ZERO, Duration::ZERO))).await.pruned;
    assert_eq!(pruned.records, 1);
    assert!(store.inner.get(None, ids[0]).await.expect("an answer").is_none());
    assert_eq!(store.record(ids[1]).await.delivery.status, Status::Queued);
}

#[tokio::test]
async fn looks_for_what_to_forget_now_and_then_only() {
    let (store, queue) = (FaultyStore::new().await, Arc::new(LocalQueue::new()));
    let sweeper = forgetting(&store, &queue, keeping(Duration::ZERO, Duration::ZERO));
    pass(&sweeper).await;
    let ids = submit_some(&store, 1).await;
    store.inner.change(None, ids[0], Change::Cancel).await.expect("a change is answered");
    store.pass(Duration::from_millis(1)).await;
    assert_eq!(pass(&sweeper).await.pruned, Pruned::default(), "a minute has not passed");
}
