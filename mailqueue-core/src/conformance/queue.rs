//! The cases every [`Queue`] has to pass while its server is healthy.
//!
//! ```ignore
//! async fn open() -> Arc<dyn Queue> { Arc::new(LocalQueue::new()) }
//! mailqueue_core::queue_conformance!(open);
//! ```

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::contracts::queue::{Entry, Pulled, Queue};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;

/// Makes one `#[tokio::test]` of every case. `$open` is an async function that returns an empty queue of its own
/// as `Arc<dyn Queue>`, anew for every call.
#[macro_export]
macro_rules! queue_conformance {
    ($open:path) => {
        $crate::queue_conformance! { @ $open =>
            pushed_entries_are_pulled
            entries_come_out_by_due_time
            an_id_is_held_once_and_moves
            lanes_are_served_in_the_order_asked_for
            a_pull_says_which_lane_it_served
            pulls_of_lanes_side_by_side_take_what_each_asked_for
            other_lanes_are_left_alone
            a_push_wakes_a_waiting_pull
            each_of_many_waiting_pulls_is_woken
            an_empty_queue_is_waited_for_and_no_longer
            a_pull_without_a_wait_returns_at_once
            a_pull_removes_what_it_returns
            a_pull_takes_no_more_than_it_asked_for
            pullers_side_by_side_share_without_repeating
            head_and_depth_tell_what_is_held
            a_push_tells_the_depth_of_the_fullest_lane
            a_dropped_pull_costs_no_later_push
        }
    };
    (@ $open:path => $($case:ident)+) => {
        $(
            #[::tokio::test]
            async fn $case() {
                $crate::conformance::queue::$case($open().await).await;
            }
        )+
    };
}

/// Long enough for any healthy queue on a busy machine.
const PULL_TIMEOUT: Duration = Duration::from_secs(20);

/// A wait that must not run out: who is not woken would look once more at its end, and find what it missed.
const LONGER: Duration = Duration::from_secs(60);

/// A wait that is meant to run out.
const SHORT: Duration = Duration::from_millis(100);

/// An entry due `second` seconds after a fixed time.
fn entry(lane: Lane, second: i64) -> Entry {
    let due_at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_700_000_000 + second);
    Entry { lane, due_at, id: MessageId::new(due_at) }
}

/// Entries in the normal lane, due at these seconds.
fn entries(seconds: impl IntoIterator<Item = i64>) -> Vec<Entry> {
    seconds.into_iter().map(|second| entry(Lane::Normal, second)).collect()
}

fn ids(entries: &[Entry]) -> Vec<MessageId> {
    entries.iter().map(|entry| entry.id).collect()
}

async fn push(queue: &Arc<dyn Queue>, entries: &[Entry]) -> u64 {
    queue.push(entries).await.expect("a healthy queue takes entries")
}

async fn pull(queue: &Arc<dyn Queue>, lanes: &[Lane], most: usize, wait: Duration) -> Vec<MessageId> {
    queue.pull(lanes, most, wait).await.expect("a healthy queue gives entries").ids
}

async fn depth(queue: &Arc<dyn Queue>, lane: Lane) -> u64 {
    queue.depth(lane).await.expect("a healthy queue tells its depth")
}

async fn head(queue: &Arc<dyn Queue>, lane: Lane) -> Option<OffsetDateTime> {
    queue.head(lane).await.expect("a healthy queue tells its head")
}

/// A pull returns the entries that were pushed.
pub async fn pushed_entries_are_pulled(queue: Arc<dyn Queue>) {
    let pushed = entries([0]);
    push(&queue, &pushed).await;
    assert_eq!(pull(&queue, &Lane::ALL, 10, PULL_TIMEOUT).await, ids(&pushed));
}

/// The order is that of the due times, not that of the pushes; a microsecond counts.
pub async fn entries_come_out_by_due_time(queue: Arc<dyn Queue>) {
    let mut pushed = entries([30, 10, 20, 40]);
    push(&queue, &pushed).await;
    let mut close = entry(Lane::Normal, 20);
    close.due_at += Duration::from_micros(1);
    push(&queue, &[close]).await;
    pushed.push(close);
    pushed.sort_by_key(|entry| entry.due_at);
    assert_eq!(pull(&queue, &Lane::ALL, 10, PULL_TIMEOUT).await, ids(&pushed));
}

/// An id that is pushed again moves to its new time, in one batch as in two.
pub async fn an_id_is_held_once_and_moves(queue: Arc<dyn Queue>) {
    let mut pushed = entries([10, 20]);
    push(&queue, &pushed).await;
    pushed[0].due_at += Duration::from_secs(20);
    push(&queue, &[pushed[0], pushed[1], pushed[1]]).await;
    assert_eq!(depth(&queue, Lane::Normal).await, 2);
    assert_eq!(pull(&queue, &Lane::ALL, 10, PULL_TIMEOUT).await, [pushed[1].id, pushed[0].id]);
}

/// The first of the named lanes that holds anything is served, whatever is due first.
pub async fn lanes_are_served_in_the_order_asked_for(queue: Arc<dyn Queue>) {
    let pushed = [entry(Lane::Bulk, 0), entry(Lane::Normal, 1), entry(Lane::Urgent, 2)];
    push(&queue, &pushed).await;
    assert_eq!(pull(&queue, &[Lane::Normal, Lane::Bulk], 10, PULL_TIMEOUT).await, [pushed[1].id]);
    push(&queue, &pushed[1..2]).await;
    for expected in [2, 1, 0] {
        assert_eq!(pull(&queue, &Lane::ALL, 10, PULL_TIMEOUT).await, [pushed[expected].id]);
    }
}

/// The lane that is named is that of the entries; without entries there is none.
pub async fn a_pull_says_which_lane_it_served(queue: Arc<dyn Queue>) {
    for lane in Lane::ALL {
        let pushed = entry(lane, 0);
        push(&queue, &[pushed]).await;
        let pulled = queue.pull(&Lane::ALL, 10, PULL_TIMEOUT).await.expect("a healthy queue gives entries");
        assert_eq!(pulled, Pulled { lane: Some(lane), ids: vec![pushed.id] });
        let pulled = queue.pull(&Lane::ALL, 10, Duration::ZERO).await.expect("a healthy queue answers");
        assert_eq!(pulled, Pulled::default());
    }
}

/// Pulls of one lane each, side by side, each get their part and leave the rest, as many as there are lanes.
pub async fn pulls_of_lanes_side_by_side_take_what_each_asked_for(queue: Arc<dyn Queue>) {
    let pushed: Vec<Entry> =
        Lane::ALL.into_iter().flat_map(|lane| (0..10).map(move |second| entry(lane, second))).collect();
    push(&queue, &pushed).await;
    let shares = [(Lane::Urgent, 7), (Lane::Normal, 4), (Lane::Bulk, 1)];
    let pulls = shares.map(|(lane, most)| {
        let queue = queue.clone();
        async move { pull(&queue, &[lane], most, Duration::ZERO).await }
    });
    for (pulled, (lane, most)) in futures_util::future::join_all(pulls).await.into_iter().zip(shares) {
        let first = pushed.iter().filter(|entry| entry.lane == lane).take(most).map(|entry| entry.id);
        assert!(pulled.into_iter().eq(first), "{lane} was not served as asked");
        assert_eq!(depth(&queue, lane).await, 10 - most as u64);
    }
}

/// Lanes that were not named are neither served nor waited for.
pub async fn other_lanes_are_left_alone(queue: Arc<dyn Queue>) {
    push(&queue, &[entry(Lane::Urgent, 0)]).await;
    assert_eq!(pull(&queue, &[Lane::Normal, Lane::Bulk], 10, SHORT).await, []);
    assert_eq!(depth(&queue, Lane::Urgent).await, 1);
}

/// A pull that waits returns what is pushed meanwhile, in whichever of its lanes.
pub async fn a_push_wakes_a_waiting_pull(queue: Arc<dyn Queue>) {
    for lane in Lane::ALL {
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { pull(&queue, &Lane::ALL, 10, LONGER).await }
        });
        // Time for the pull to begin to wait; one that comes late finds the entry and proves less.
        tokio::time::sleep(SHORT).await;
        let pushed = entry(lane, 0);
        push(&queue, &[pushed]).await;
        let pulled =
            tokio::time::timeout(PULL_TIMEOUT, waiting).await.expect("the push did not wake the pull");
        assert_eq!(pulled.expect("the pull does not panic"), [pushed.id]);
    }
}

/// With as many pulls waiting as entries are pushed in one batch, each gets one.
pub async fn each_of_many_waiting_pulls_is_woken(queue: Arc<dyn Queue>) {
    let mut waiting = JoinSet::new();
    for _ in 0..8 {
        let queue = queue.clone();
        waiting.spawn(async move { pull(&queue, &Lane::ALL, 1, LONGER).await });
    }
    tokio::time::sleep(SHORT).await;
    let pushed = entries(0..8);
    push(&queue, &pushed).await;
    let pulled =
        tokio::time::timeout(PULL_TIMEOUT, waiting.join_all()).await.expect("a waiting pull was not woken");
    let pulled: Vec<MessageId> = pulled.into_iter().flatten().collect();
    assert_eq!(pulled.len(), 8, "a pull that waited returned without an entry");
    assert_eq!(pulled.into_iter().collect::<HashSet<_>>(), ids(&pushed).into_iter().collect());
}

/// A pull on an empty queue waits as long as it was asked to and comes back empty.
pub async fn an_empty_queue_is_waited_for_and_no_longer(queue: Arc<dyn Queue>) {
    let wait = Duration::from_millis(300);
    let begun = Instant::now();
    assert_eq!(pull(&queue, &Lane::ALL, 10, wait).await, []);
    // A server's timer may tick in tens of milliseconds and start before ours.
    assert!(begun.elapsed() > wait / 2, "the pull came back after {:?}", begun.elapsed());
    assert!(begun.elapsed() < wait + PULL_TIMEOUT, "the pull came back after {:?}", begun.elapsed());
}

/// A wait of zero is no wait at all, least of all an endless one.
pub async fn a_pull_without_a_wait_returns_at_once(queue: Arc<dyn Queue>) {
    for wait in [Duration::ZERO, Duration::from_nanos(1)] {
        let pulled = tokio::time::timeout(PULL_TIMEOUT, pull(&queue, &Lane::ALL, 10, wait)).await;
        assert_eq!(pulled.expect("a pull that may not wait hangs"), []);
    }
    let pushed = entries([0]);
    push(&queue, &pushed).await;
    assert_eq!(pull(&queue, &Lane::ALL, 10, Duration::ZERO).await, ids(&pushed));
}

/// An entry that a pull returned is gone.
pub async fn a_pull_removes_what_it_returns(queue: Arc<dyn Queue>) {
    push(&queue, &entries([0, 1])).await;
    assert_eq!(pull(&queue, &Lane::ALL, 10, PULL_TIMEOUT).await.len(), 2);
    assert_eq!(depth(&queue, Lane::Normal).await, 0);
    assert_eq!(pull(&queue, &Lane::ALL, 10, Duration::ZERO).await, []);
}

/// At most as many as asked for, at least one, from one lane at a time.
pub async fn a_pull_takes_no_more_than_it_asked_for(queue: Arc<dyn Queue>) {
    let pushed = entries(0..6);
    push(&queue, &pushed).await;
    push(&queue, &[entry(Lane::Bulk, 0)]).await;
    assert_eq!(pull(&queue, &Lane::ALL, 2, PULL_TIMEOUT).await, ids(&pushed[..2]));
    assert_eq!(pull(&queue, &Lane::ALL, 0, PULL_TIMEOUT).await, ids(&pushed[2..3]));
    assert_eq!(pull(&queue, &Lane::ALL, usize::MAX, PULL_TIMEOUT).await, ids(&pushed[3..]));
    assert_eq!(depth(&queue, Lane::Bulk).await, 1);
}

/// Pullers side by side get everything between them and nothing twice.
pub async fn pullers_side_by_side_share_without_repeating(queue: Arc<dyn Queue>) {
    let pushed = entries(0..200);
    push(&queue, &pushed).await;
    let mut pullers = JoinSet::new();
    for _ in 0..4 {
        let queue = queue.clone();
        pullers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let pulled = pull(&queue, &Lane::ALL, 3, Duration::ZERO).await;
                if pulled.is_empty() {
                    return mine;
                }
                mine.extend(pulled);
            }
        });
    }
    let pulled: Vec<MessageId> = pullers.join_all().await.into_iter().flatten().collect();
    assert_eq!(pulled.len(), pushed.len(), "entries were repeated or lost");
    assert_eq!(pulled.into_iter().collect::<HashSet<_>>(), ids(&pushed).into_iter().collect());
}

/// The head is the smallest due time to the microsecond, the depth the number of entries; lanes apart.
pub async fn head_and_depth_tell_what_is_held(queue: Arc<dyn Queue>) {
    assert_eq!((head(&queue, Lane::Normal).await, depth(&queue, Lane::Normal).await), (None, 0));
    let mut pushed = entries([20, 10, 30]);
    pushed[1].due_at += Duration::from_micros(123_457);
    push(&queue, &pushed).await;
    assert_eq!(head(&queue, Lane::Normal).await, Some(pushed[1].due_at));
    assert_eq!(depth(&queue, Lane::Normal).await, 3);
    assert_eq!((head(&queue, Lane::Bulk).await, depth(&queue, Lane::Bulk).await), (None, 0));
    pull(&queue, &Lane::ALL, 1, PULL_TIMEOUT).await;
    assert_eq!(head(&queue, Lane::Normal).await, Some(pushed[0].due_at));
}

/// A push returns how many entries the fullest of its lanes holds; a push of nothing returns 0.
pub async fn a_push_tells_the_depth_of_the_fullest_lane(queue: Arc<dyn Queue>) {
    assert_eq!(push(&queue, &entries(0..3)).await, 3);
    assert_eq!(push(&queue, &[entry(Lane::Urgent, 0), entry(Lane::Normal, 5)]).await, 4);
    assert_eq!(push(&queue, &[entry(Lane::Urgent, 1)]).await, 2);
    assert_eq!(push(&queue, &[]).await, 0);
}

/// A pull that was dropped while it waited takes nothing that is pushed later.
pub async fn a_dropped_pull_costs_no_later_push(queue: Arc<dyn Queue>) {
    for _ in 0..3 {
        let dropped = tokio::time::timeout(SHORT, pull(&queue, &Lane::ALL, 10, PULL_TIMEOUT)).await;
        assert!(dropped.is_err(), "nothing was pushed, and yet the pull returned");
    }
    // A server learns of it a moment later.
    tokio::time::sleep(SHORT).await;
    let pushed = entries([0]);
    push(&queue, &pushed).await;
    assert_eq!(pull(&queue, &Lane::ALL, 10, PULL_TIMEOUT).await, ids(&pushed));
}
