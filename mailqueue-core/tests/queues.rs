//! The queue contract on every implementation that needs no server, and what is particular to each.
#![cfg(feature = "conformance")]

mod local {
    use std::sync::Arc;

    use mailqueue_core::contracts::queue::Queue;
    use mailqueue_core::queue::local::LocalQueue;

    async fn open() -> Arc<dyn Queue> {
        Arc::new(LocalQueue::new())
    }

    mailqueue_core::queue_conformance!(open);
}

/// The lossy queue without its faults is a queue like any other.
mod lossy {
    use std::sync::Arc;

    use mailqueue_core::conformance::lossy_queue::{Faults, LossyQueue};
    use mailqueue_core::contracts::queue::Queue;
    use mailqueue_core::queue::local::LocalQueue;

    async fn open() -> Arc<dyn Queue> {
        Arc::new(LossyQueue::new(LocalQueue::new(), Faults::NONE, 0))
    }

    mailqueue_core::queue_conformance!(open);
}

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::conformance::lossy_queue::{Faults, LossyQueue};
use mailqueue_core::contracts::queue::{Entry, Queue};
use mailqueue_core::domain::id::MessageId;
use mailqueue_core::domain::lane::Lane;
use mailqueue_core::queue::local::LocalQueue;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const PULL_TIMEOUT: Duration = Duration::from_secs(20);

fn entry(lane: Lane, second: i64) -> Entry {
    let due_at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_700_000_000 + second);
    Entry { lane, due_at, id: MessageId::new(due_at) }
}

#[tokio::test]
async fn a_full_local_lane_keeps_what_is_due_first() {
    let queue = LocalQueue::with_cap(3);
    let entries: Vec<Entry> = [5, 1, 4, 2, 3].into_iter().map(|second| entry(Lane::Normal, second)).collect();
    assert_eq!(queue.push(&entries).await.unwrap(), 3);
    let kept = queue.pull(&Lane::ALL, 10, Duration::ZERO).await.unwrap().ids;
    assert_eq!(kept, [entries[1].id, entries[3].id, entries[4].id]);
    // What was let go of is unknown to the lane, so it can come back.
    assert_eq!(queue.push(&entries[..1]).await.unwrap(), 1);
}

/// Many pullers with different lanes give up at random while one stays: every burst of pushes is pulled before the next
/// begins, so a wake-up that went astray would be waited for in vain.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_among_pullers_that_come_and_go() {
    let queue = Arc::new(LocalQueue::new());
    let (pulled, mut arrived) = mpsc::unbounded_channel();
    let mut pullers = JoinSet::new();
    for number in 0..12_u64 {
        let (queue, pulled) = (queue.clone(), pulled.clone());
        pullers.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(number);
            // Number 0 serves all lanes and never gives up; it alone can pull whatever the others leave.
            let first = if number == 0 { 0 } else { rng.usize(0..3) };
            loop {
                let patience =
                    if number == 0 { 3 * PULL_TIMEOUT } else { Duration::from_micros(rng.u64(0..3_000)) };
                let asked = queue.pull(&Lane::ALL[first..], 1 + rng.usize(0..3), 2 * PULL_TIMEOUT);
                for id in tokio::time::timeout(patience, asked)
                    .await
                    .into_iter()
                    .flatten()
                    .flat_map(|pulled| pulled.ids)
                {
                    let _ = pulled.send(id);
                }
            }
        });
    }
    let mut rng = fastrand::Rng::with_seed(99);
    for round in 0..1_000 {
        let burst: Vec<Entry> =
            (0..rng.usize(1..6)).map(|_| entry(Lane::ALL[rng.usize(0..3)], round)).collect();
        queue.push(&burst).await.unwrap();
        for _ in &burst {
            let arrival = tokio::time::timeout(PULL_TIMEOUT, arrived.recv()).await;
            let id = arrival.expect("an entry stayed behind").unwrap();
            assert!(burst.iter().any(|entry| entry.id == id), "{id} came twice");
        }
    }
}

/// A push to one lane wakes the puller of that lane, not one that waits for another and would let it lie.
#[tokio::test]
async fn a_push_wakes_a_puller_of_its_own_lane() {
    let queue = Arc::new(LocalQueue::new());
    let mut waiting = Vec::new();
    for lane in Lane::ALL {
        let queue = queue.clone();
        waiting.push(tokio::spawn(async move { queue.pull(&[lane], 1, PULL_TIMEOUT).await.unwrap().ids }));
        tokio::task::yield_now().await;
    }
    for (lane, waiting) in Lane::ALL.into_iter().zip(waiting).rev() {
        let pushed = entry(lane, 0);
        queue.push(&[pushed]).await.unwrap();
        assert_eq!(waiting.await.unwrap(), [pushed.id]);
    }
}

/// What a lossy queue gives for `rounds` of pushes of ten and pulls, with how often each id came.
async fn play(faults: Faults, seed: u64) -> (Vec<MessageId>, Vec<Option<Vec<MessageId>>>) {
    let queue = LossyQueue::new(LocalQueue::new(), faults, seed);
    let (mut pushed, mut pulls) = (Vec::new(), Vec::new());
    for round in 0..100_u128 {
        let entries: Vec<Entry> = (0..10)
            .map(|number| {
                let mut entry = entry(Lane::Normal, number);
                entry.id = MessageId::from(uuid::Uuid::from_u128(round * 10 + number as u128));
                entry
            })
            .collect();
        pushed.extend(entries.iter().map(|entry| entry.id));
        let _ = queue.push(&entries).await;
        pulls.push(queue.pull(&Lane::ALL, 12, Duration::ZERO).await.ok().map(|pulled| pulled.ids));
    }
    (pushed, pulls)
}

#[tokio::test]
async fn a_lossy_queue_does_the_same_again_with_the_same_seed() {
    assert_eq!(play(Faults::SOME, 7).await, play(Faults::SOME, 7).await);
    assert_ne!(play(Faults::SOME, 7).await, play(Faults::SOME, 8).await);
}

#[tokio::test]
async fn a_lossy_queue_drops_repeats_and_fails_but_makes_nothing_up() {
    let (pushed, pulls) = play(Faults::SOME, 7).await;
    assert!(pulls.iter().any(Option::is_none), "no call failed");
    assert!(pulls.iter().flatten().all(|pull| pull.len() <= 12), "a pull gave more than asked for");
    let mut times = HashMap::<MessageId, usize>::new();
    for id in pulls.into_iter().flatten().flatten() {
        assert!(pushed.contains(&id), "{id} was never pushed");
        *times.entry(id).or_default() += 1;
    }
    assert!(times.len() < pushed.len(), "nothing was dropped");
    assert!(times.values().any(|times| *times > 1), "nothing was repeated");
}
