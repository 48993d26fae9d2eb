//! Every message that waits and is due can be found, whatever the queue has lost.

use std::sync::Arc;

use super::harness::{ANA, Harness, LONG, deferred, draft, eager, report};
use crate::contracts::queue::Entry;
use crate::contracts::store::{Change, DueRange, MessageStore};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;

async fn due(harness: &Harness, before: Option<time::OffsetDateTime>, limit: usize) -> Vec<Entry> {
    harness.store.due(&[DueRange { lane: Lane::Normal, before, limit }]).await.expect("what is due is told")
}

fn ids(entries: &[Entry]) -> Vec<MessageId> {
    entries.iter().map(|entry| entry.id).collect()
}

/// The longest due comes first, with the time and lane it waits in.
pub async fn tells_the_longest_due_first(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let submitted = harness.submit_in_turn(4).await;
    let entries = due(&harness, None, 10).await;
    assert_eq!(ids(&entries), submitted);
    for entry in &entries {
        assert_eq!((entry.lane, entry.due_at), (Lane::Normal, harness.record(entry.id).await.due_at));
    }

    let first = harness.claim(submitted[0], LONG).await;
    harness.settle(&first, report([(ANA, deferred())]), eager()).await;
    let again = [submitted[1], submitted[2], submitted[3], submitted[0]];
    assert_eq!(ids(&due(&harness, None, 10).await), again, "what is tried again waits at the end");
}

/// Only what is due before the queue's head is missing from the queue.
pub async fn tells_only_what_is_due_before(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let submitted = harness.submit_in_turn(4).await;
    let head = harness.record(submitted[2]).await.due_at;
    assert_eq!(ids(&due(&harness, Some(head), 10).await), submitted[..2], "not the head itself");
    let ahead = harness.now().await + time::Duration::hours(2);
    assert_eq!(ids(&due(&harness, Some(ahead), 10).await), submitted);
}

/// A page is no longer than asked for, and starts with the longest due.
pub async fn stops_at_the_limit(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let submitted = harness.submit_in_turn(3).await;
    assert_eq!(ids(&due(&harness, None, 2).await), submitted[..2]);
}

/// Each lane is asked about by itself.
pub async fn keeps_lanes_apart(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    for lane in Lane::ALL {
        let mut one = draft("in its lane");
        one.lane = lane;
        let id = harness.submit(&one).await;
        let entries = harness
            .store
            .due(&[DueRange { lane, before: None, limit: 10 }])
            .await
            .expect("what is due is told");
        assert_eq!(entries.iter().map(|entry| (entry.lane, entry.id)).collect::<Vec<_>>(), [(lane, id)]);
    }
}

/// Several ranges are told in the order in which they are asked for, each by its own bounds.
pub async fn tells_several_ranges_in_their_order(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut ids = Vec::new();
    for lane in [Lane::Bulk, Lane::Urgent, Lane::Bulk, Lane::Urgent, Lane::Bulk] {
        let mut one = draft("in its lane");
        one.lane = lane;
        ids.push(harness.submit(&one).await);
        harness.tick().await;
    }
    let before = Some(harness.record(ids[4]).await.due_at);
    let ranges = [
        DueRange { lane: Lane::Urgent, before: None, limit: 1 },
        DueRange { lane: Lane::Normal, before: None, limit: 10 },
        DueRange { lane: Lane::Bulk, before, limit: 10 },
    ];
    let entries = harness.store.due(&ranges).await.expect("what is due is told");
    let told: Vec<_> = entries.iter().map(|entry| (entry.lane, entry.id)).collect();
    assert_eq!(told, [(Lane::Urgent, ids[1]), (Lane::Bulk, ids[0]), (Lane::Bulk, ids[2])]);
    assert_eq!(harness.store.due(&[]).await.expect("nothing is asked"), []);
}

/// A message that is scheduled, leased or finished does not wait to be sent.
pub async fn leaves_out_what_is_not_waiting(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let at = harness.now().await + time::Duration::hours(1);
    harness.submit(&draft("later").at(at)).await;
    let leased = harness.submit(&draft("leased")).await;
    harness.claim(leased, LONG).await;
    let cancelled = harness.submit(&draft("cancelled")).await;
    harness.change(cancelled, Change::Cancel).await;
    assert_eq!(due(&harness, None, 10).await, []);
    assert_eq!(due(&harness, Some(at + time::Duration::hours(1)), 10).await, [], "and by now");
}
