//! Many callers, few calls: everybody gets the answer to what they asked, and nobody pays for anybody else.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailqueue_core::contracts::store::{Idempotency, Inserted, Lease, Renewal, Submission};
use mailqueue_core::store::batched::{Batched, CallsAtOnce};
use mailqueue_core::{MessageId, MessageStore, Status, StoreError};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::harness::{FaultyStore, LONG, Method, Mood, draft, soon};

/// How many items wait at most, and how many go into a batch.
const QUEUE_CAPACITY: usize = 4096;
const MAX_BATCH: usize = 256;

type Answer = Result<Inserted, StoreError>;

async fn batched() -> (Arc<FaultyStore>, Arc<Batched>) {
    let store = FaultyStore::new().await;
    let batched = Arc::new(Batched::new(Arc::clone(&store) as _));
    (store, batched)
}

/// A caller of its own.
fn insert(batched: &Arc<Batched>, submission: Submission) -> JoinHandle<Answer> {
    let batched = Arc::clone(batched);
    tokio::spawn(async move { batched.insert(vec![Arc::new(submission)]).await.remove(0) })
}

async fn answer(caller: JoinHandle<Answer>) -> Answer {
    soon(caller).await.expect("a caller ends well")
}

/// Holds the store up with a first call, so that what is asked from now on gathers.
async fn hold_up(store: &FaultyStore, batched: &Arc<Batched>) -> JoinHandle<Answer> {
    store.set(Method::Insert, Mood::Holding);
    let first = insert(batched, store.submission(&draft("first")).await);
    store.called(Method::Insert, 1).await;
    first
}

/// Lets everything that is ready to run go on until it waits. One thread runs all of a test, so this is certain.
async fn settle_down() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn keyed(submission: Submission, key: &str, what: u8) -> Submission {
    let (tenant, key) = (String::new(), key.to_owned());
    Submission {
        idempotency: Some(Idempotency { tenant, key, fingerprint: [what; 32], keep: LONG }),
        ..submission
    }
}

fn renewal() -> Renewal {
    let id = MessageId::from(Uuid::from_u128(7));
    Renewal { lease: Lease { id, token: Uuid::from_u128(fastrand::u128(..)) }, before_dot: false }
}

#[tokio::test]
async fn everybody_gets_their_own_answer() {
    let (store, batched) = batched().await;
    let first = hold_up(&store, &batched).await;
    let mut callers = Vec::new();
    let original = store.submission(&draft("original")).await;
    let ids = original.ids();
    for (subject, what) in [("original", 1), ("repeat", 1), ("another", 2)] {
        let submission =
            if subject == "original" { original.clone() } else { store.submission(&draft(subject)).await };
        callers.push(insert(&batched, keyed(submission, "key", what)));
        settle_down().await;
    }
    for n in 0..20 {
        callers.push(insert(&batched, store.submission(&draft(&n.to_string())).await));
    }
    settle_down().await;
    store.set(Method::Insert, Mood::Good);
    assert_eq!(answer(first).await.expect("kept"), Inserted::Stored);
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(answer(caller).await.expect("an answer"));
    }
    assert_eq!(answers[..3], [Inserted::Stored, Inserted::Replayed(ids), Inserted::KeyReused]);
    assert!(answers[3..].iter().all(|answer| *answer == Inserted::Stored));
    assert_eq!(store.calls(Method::Insert), [1, 23], "one call for all who waited");
}

#[tokio::test]
async fn one_bad_among_good_fails_alone() {
    let (store, batched) = batched().await;
    let [one, other] = [store.submission(&draft("one")).await, store.submission(&draft("other")).await];
    let mut bad = store.submission(&draft("bad")).await;
    bad.messages[0].id = one.messages[0].id;
    let ids = [one.ids()[0], other.ids()[0]];
    let answers = soon(batched.insert([one, bad, other].map(Arc::new).into())).await;
    assert!(
        matches!(answers[..], [Ok(Inserted::Stored), Err(StoreError::Refused(_)), Ok(Inserted::Stored)]),
        "{answers:?}"
    );
    for id in ids {
        assert_eq!(store.record(id).await.delivery.status, Status::Queued);
    }
}

#[tokio::test]
async fn everybody_hears_of_an_outage() {
    let (store, batched) = batched().await;
    store.fail(Method::Insert);
    let submissions = [store.submission(&draft("one")).await, store.submission(&draft("other")).await];
    for answer in soon(batched.insert(submissions.map(Arc::new).into())).await {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    }
    store.set(Method::Insert, Mood::Good);
    let submission = store.submission(&draft("after")).await;
    assert_eq!(answer(insert(&batched, submission)).await.expect("kept"), Inserted::Stored);
}

#[tokio::test]
async fn a_panic_costs_only_the_batch_it_happened_in() {
    let (store, batched) = batched().await;
    let first = hold_up(&store, &batched).await;
    let mut next = Vec::new();
    for subject in ["one", "other"] {
        next.push(insert(&batched, store.submission(&draft(subject)).await));
    }
    settle_down().await;
    store.set(Method::Insert, Mood::Panicking);
    let error = answer(first).await.expect_err("nobody knows whether it is kept");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    for caller in next {
        assert_eq!(answer(caller).await.expect("kept"), Inserted::Stored);
    }

    store.set(Method::Renew, Mood::Panicking);
    let error = soon(batched.renew(vec![renewal(); 2], LONG)).await.expect_err("nobody has answered");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!(soon(batched.renew(vec![renewal()], LONG)).await.expect("an answer"), [false]);
}

#[tokio::test]
async fn too_much_is_refused_at_once() {
    let (store, batched) = batched().await;
    store.set(Method::Renew, Mood::Holding);
    let renew = |count: usize| {
        let batched = Arc::clone(&batched);
        tokio::spawn(async move { batched.renew(vec![renewal(); count], LONG).await })
    };
    let first = renew(1);
    store.called(Method::Renew, 1).await;
    let waiting = renew(QUEUE_CAPACITY);
    settle_down().await;
    let over = soon(batched.renew(vec![renewal()], LONG)).await;
    assert!(matches!(over, Err(StoreError::Overloaded(_))), "while the store is held up: {over:?}");
    store.set(Method::Renew, Mood::Good);
    assert_eq!(soon(first).await.expect("it ends").expect("an answer"), [false]);
    assert_eq!(soon(waiting).await.expect("it ends").expect("an answer"), [false; QUEUE_CAPACITY]);
    assert_eq!(store.calls(Method::Renew)[1..], [MAX_BATCH; QUEUE_CAPACITY / MAX_BATCH]);
    assert_eq!(soon(batched.renew(vec![renewal()], LONG)).await.expect("there is room again"), [false]);
}

#[tokio::test(start_paused = true)]
async fn a_lone_caller_is_not_delayed() {
    let (store, batched) = batched().await;
    let start = tokio::time::Instant::now();
    for n in 1..=3 {
        let submission = Arc::new(store.submission(&draft("alone")).await);
        let answer = batched.insert(vec![submission]).await.remove(0);
        assert_eq!(answer.expect("kept"), Inserted::Stored);
        assert_eq!(store.calls(Method::Insert).len(), n);
    }
    // The clock stands still unless somebody waits for it to move.
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_others_alone() {
    let (store, batched) = batched().await;
    let first = hold_up(&store, &batched).await;
    let submissions = [store.submission(&draft("gone")).await, store.submission(&draft("here")).await];
    let id = submissions[1].ids()[0];
    let [gone, here] = submissions.map(|submission| insert(&batched, submission));
    settle_down().await;
    gone.abort();
    assert!(soon(gone).await.expect_err("it was aborted").is_cancelled());
    first.abort();
    store.set(Method::Insert, Mood::Good);
    assert_eq!(answer(here).await.expect("kept"), Inserted::Stored);
    assert_eq!(store.record(id).await.delivery.status, Status::Queued);
    assert_eq!(store.calls(Method::Insert), [1, 1], "nobody waits for the other one");
}

#[tokio::test]
async fn large_messages_do_not_gather() {
    let (store, batched) = batched().await;
    let first = hold_up(&store, &batched).await;
    let mut callers = Vec::new();
    for (n, mib) in [1, 2, 2, 9, 1, 3, 1].into_iter().enumerate() {
        let mut submission = store.submission(&draft(&n.to_string())).await;
        submission.messages[0].raw = Bytes::from(vec![b'a'; mib << 20]);
        callers.push(insert(&batched, submission));
    }
    settle_down().await;
    store.set(Method::Insert, Mood::Good);
    for caller in std::iter::once(first).chain(callers) {
        assert_eq!(answer(caller).await.expect("kept"), Inserted::Stored);
    }
    assert_eq!(store.calls(Method::Insert), [1, 2, 1, 1, 2, 1], "a batch has at most four million octets");
}

#[tokio::test]
async fn an_item_that_waits_counts_by_its_weight() {
    let (store, batched) = batched().await;
    let first = hold_up(&store, &batched).await;
    let heavy = async |n: usize| {
        let mut submission = store.submission(&draft(&n.to_string())).await;
        submission.messages[0].raw = Bytes::from_static(&[b'a'; 1 << 20]).repeat(30).into();
        submission
    };
    let mut callers = Vec::new();
    for n in 0..4 {
        callers.push(insert(&batched, heavy(n).await));
    }
    settle_down().await;
    let refused = answer(insert(&batched, heavy(4).await)).await;
    assert!(matches!(refused, Err(StoreError::Overloaded(_))), "{refused:?}");
    let light = insert(&batched, store.submission(&draft("light")).await);
    settle_down().await;
    store.set(Method::Insert, Mood::Good);
    for caller in std::iter::once(first).chain(callers).chain([light]) {
        assert_eq!(answer(caller).await.expect("kept"), Inserted::Stored);
    }
    let again = answer(insert(&batched, heavy(5).await)).await;
    assert_eq!(again.expect("there is room again"), Inserted::Stored);
}

#[tokio::test]
async fn leases_are_renewed_for_as_long_as_each_caller_says() {
    let (store, batched) = batched().await;
    let (short, long) = (store.submit(&draft("short")).await, store.submit(&draft("long")).await);
    let leases: Vec<Lease> =
        store.claim(&[short, long], LONG).await.into_iter().map(|claimed| claimed.lease).collect();
    store.set(Method::Renew, Mood::Holding);
    let renew = |lease: Lease, duration: Duration| {
        let batched = Arc::clone(&batched);
        tokio::spawn(async move { batched.renew(vec![Renewal { lease, before_dot: false }], duration).await })
    };
    let first = renew(renewal().lease, LONG);
    store.called(Method::Renew, 1).await;
    let renewals = [renew(leases[0], Duration::from_millis(1)), renew(leases[1], LONG)];
    settle_down().await;
    store.set(Method::Renew, Mood::Good);
    assert_eq!(soon(first).await.expect("it ends").expect("an answer"), [false]);
    for renewal in renewals {
        assert_eq!(soon(renewal).await.expect("it ends").expect("an answer"), [true]);
    }
    store.end_lease(short).await;
    assert_eq!(store.record(long).await.delivery.status, Status::Sending);
}

/// A store whose slow calls overlap, up to three of them.
async fn overlapping() -> (Arc<FaultyStore>, Arc<Batched>) {
    let store = FaultyStore::new().await;
    let three = NonZeroU32::new(3).expect("three");
    let calls = CallsAtOnce { inserts: three, results: three };
    let batched = Arc::new(Batched::with_calls(Arc::clone(&store) as _, calls));
    (store, batched)
}

#[tokio::test]
async fn a_slow_call_holds_up_nobody_who_comes_later() {
    let (store, batched) = overlapping().await;
    let mut callers = vec![hold_up(&store, &batched).await];
    for calls in 2..=3 {
        callers.push(insert(&batched, store.submission(&draft("later")).await));
        store.called(Method::Insert, calls).await;
    }
    for _ in 0..5 {
        callers.push(insert(&batched, store.submission(&draft("last")).await));
    }
    store.pass(Duration::from_millis(20)).await;
    assert_eq!(store.calls(Method::Insert), [1; 3], "no more calls at once than are allowed");
    store.set(Method::Insert, Mood::Good);
    for caller in callers {
        assert_eq!(answer(caller).await.expect("kept"), Inserted::Stored);
    }
    assert_eq!(store.calls(Method::Insert).iter().sum::<usize>(), 8, "everything is asked once");
}

#[tokio::test]
async fn of_calls_that_overlap_one_may_panic() {
    let (store, batched) = overlapping().await;
    let first = hold_up(&store, &batched).await;
    let second = insert(&batched, store.submission(&draft("second")).await);
    store.called(Method::Insert, 2).await;
    store.set(Method::Insert, Mood::Panicking);
    let answers = [answer(first).await, answer(second).await];
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
}

#[tokio::test]
async fn the_same_key_in_calls_that_overlap_is_taken_once() {
    let (store, batched) = overlapping().await;
    let original = store.submission(&draft("original")).await;
    let ids = original.ids();
    store.set(Method::Insert, Mood::Holding);
    let mut callers = Vec::new();
    for calls in 1..=3 {
        callers.push(insert(&batched, keyed(original.clone(), "key", 1)));
        store.called(Method::Insert, calls).await;
    }
    store.set(Method::Insert, Mood::Good);
    let mut stored = 0;
    for caller in callers {
        match answer(caller).await.expect("an answer") {
            Inserted::Stored => stored += 1,
            replayed => assert_eq!(replayed, Inserted::Replayed(ids.clone())),
        }
    }
    assert_eq!(stored, 1);
}
