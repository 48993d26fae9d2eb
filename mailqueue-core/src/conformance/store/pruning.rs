//! The backlog is counted, and retention deletes old messages.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{ANA, Harness, LONG, accepted, deferred, draft, eager, idempotency, report, wait_until};
use crate::contracts::store::{Change, Inserted, MessageStore, Pruned, Retention, Submission};
use crate::domain::id::MessageId;
use crate::domain::status::Status;

const HOUR: Duration = Duration::from_secs(3600);
const NOTHING: Retention = Retention { content: Duration::ZERO, record: Duration::ZERO };

/// `count` messages that are sent, a while ago.
async fn sent(harness: &Harness, count: usize) -> Vec<MessageId> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        let id = harness.submit(&draft(&format!("number {n}"))).await;
        let claimed = harness.claim(id, LONG).await;
        harness.settle(&claimed, report([(ANA, accepted())]), eager()).await;
        ids.push(id);
    }
    // A retention of zero covers only what finished before now.
    harness.tick().await;
    ids
}

async fn prune(harness: &Harness, retention: Retention, limit: usize) -> Pruned {
    harness.store.prune(&retention, limit).await.expect("pruning works")
}

/// Prunes until nothing is left to delete, and adds up the numbers.
async fn prune_all(harness: &Harness, retention: Retention, limit: usize) -> Pruned {
    let mut sum = Pruned::default();
    // Bounded, so that a store that repeats itself fails the case instead of hanging it.
    for _ in 0..20 {
        let pruned = prune(harness, retention, limit).await;
        if pruned == Pruned::default() {
            return sum;
        }
        let most = limit as u64;
        assert!(pruned.contents <= most && pruned.records <= most && pruned.keys <= most, "{pruned:?}");
        sum.contents += pruned.contents;
        sum.records += pruned.records;
        sum.keys += pruned.keys;
    }
    panic!("what was forgotten is forgotten again: {sum:?}");
}

/// Messages that wait or are leased are counted, and the longest due is named.
pub async fn tells_how_much_is_waiting(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let told = harness.store.backlog(10).await.expect("the backlog is counted");
    assert_eq!((told.queued, told.sending, told.oldest_due), (0, 0, None));
    let later = harness.submit(&draft("later").at(told.now + time::Duration::hours(1))).await;
    let told = harness.store.backlog(10).await.expect("the backlog is counted");
    assert_eq!((told.queued, told.sending, told.oldest_due), (1, 0, None), "nothing is due yet");

    let ids = harness.submit_in_turn(4).await;
    harness.claim(ids[0], LONG).await;
    sent(&harness, 1).await;
    let told = harness.store.backlog(10).await.expect("the backlog is counted");
    assert_eq!((told.queued, told.sending), (4, 1));
    assert_eq!(told.oldest_due, Some(harness.record(ids[1]).await.due_at));
    assert!(told.now < harness.record(later).await.due_at);
    harness.past(told.now).await;
}

/// Messages that wait are weighed, but no more of them than were to be counted.
pub async fn counts_no_further_than_asked(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut sizes = Vec::new();
    for n in 1..=3 {
        let id = harness.submit(&draft(&"long ".repeat(n * 10))).await;
        sizes.push(harness.record(id).await.raw.expect("it has its content").len() as u64);
    }
    harness.submit(&draft("later").at(harness.now().await + time::Duration::hours(1))).await;
    for (count, queued) in [(0, 0), (2, 2), (4, 4), (5, 4), (u64::MAX, 4)] {
        let told = harness.store.backlog(count).await.expect("the backlog is counted");
        assert_eq!(told.queued, queued, "counted up to {count}");
        let (least, most) = (sizes[0] * queued, sizes[2] * queued);
        assert!((least..=most).contains(&told.octets), "{} octets, counted up to {count}", told.octets);
    }
    let told = harness.store.backlog(10).await.expect("the backlog is counted");
    assert!(told.octets > sizes.iter().sum(), "the one that is scheduled weighs as well");
}

/// A message that is sending or finished does not weigh, and one that waits again does.
pub async fn weighs_again_what_is_tried_again(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let weight = async || harness.store.backlog(10).await.expect("the backlog is counted").octets;
    let id = harness.submit(&draft("twice")).await;
    let size = harness.record(id).await.raw.expect("it has its content").len() as u64;
    assert_eq!(weight().await, size);
    let claimed = harness.claim(id, LONG).await;
    assert_eq!(weight().await, 0);
    harness.settle(&claimed, report([(ANA, deferred())]), eager()).await;
    assert_eq!(weight().await, size);
    harness.change(id, Change::Cancel).await;
    assert_eq!(weight().await, 0);
}

/// With a shorter retention for content, the record stays without it.
pub async fn takes_content_before_the_record(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = sent(&harness, 1).await[0];
    let mut expected = harness.record(id).await;
    (expected.text, expected.html, expected.raw) = (None, None, None);
    let content_only = Retention { content: Duration::ZERO, record: HOUR };
    assert_eq!(prune_all(&harness, content_only, 10).await, Pruned { contents: 1, ..Pruned::default() });
    assert_eq!(harness.record(id).await, expected, "everything else stays");
    assert_eq!(prune_all(&harness, NOTHING, 10).await, Pruned { records: 1, ..Pruned::default() });
    assert_eq!(harness.store.get(None, id).await.expect("records can be read"), None);
}

/// With no retention at all, nothing stays.
pub async fn takes_the_record_with_its_content(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = sent(&harness, 3).await;
    let pruned = prune_all(&harness, NOTHING, 10).await;
    assert_eq!((pruned.contents, pruned.records), (3, 3));
    for id in ids {
        assert_eq!(harness.store.get(None, id).await.expect("records can be read"), None);
    }
}

/// A message that is not finished is never deleted, nor its content.
pub async fn touches_nothing_unfinished(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = harness.submit_in_turn(3).await;
    harness.claim(ids[0], LONG).await;
    harness.lose(ids[1], true, &eager()).await;
    let before = [harness.record(ids[0]).await, harness.record(ids[1]).await, harness.record(ids[2]).await];
    assert_eq!(prune_all(&harness, NOTHING, 10).await, Pruned::default());
    for record in before {
        assert_eq!(harness.record(record.id).await, record);
    }
    assert_eq!(harness.record(ids[1]).await.delivery.status, Status::Queued);
}

/// A finished message stays as long as retention says.
pub async fn keeps_what_is_not_old_enough(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = sent(&harness, 1).await[0];
    let before = harness.record(id).await;
    let retention = Retention { content: HOUR, record: HOUR };
    assert_eq!(prune_all(&harness, retention, 10).await, Pruned::default());
    assert_eq!(prune_all(&harness, Retention::default(), 10).await, Pruned::default());
    assert_eq!(harness.record(id).await, before);
}

/// One call forgets no more than it may; the next ones go on.
pub async fn stops_at_the_limit(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    sent(&harness, 5).await;
    let content_only = Retention { content: Duration::ZERO, record: HOUR };
    assert_eq!(prune(&harness, content_only, 2).await, Pruned { contents: 2, ..Pruned::default() });
    assert_eq!(prune_all(&harness, content_only, 2).await.contents, 3);
    assert_eq!(prune_all(&harness, NOTHING, 2).await.records, 5);
}

/// Keys that have run out go; the others stay.
pub async fn forgets_keys_that_ran_out(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut repeat = None;
    for (key, keep) in [("gone", Duration::from_millis(1)), ("kept", HOUR)] {
        let messages = vec![harness.message(&draft("once")).await];
        let submission = Submission { messages, idempotency: Some(idempotency(key, 1, keep)) };
        repeat = Some(submission.clone());
        assert_eq!(harness.insert(submission).await.expect("it is kept"), Inserted::Stored);
    }
    wait_until("the key runs out", || async {
        let pruned = prune(&harness, Retention::default(), 10).await;
        assert!(pruned.keys <= 1, "only one has run out");
        (pruned == Pruned { keys: 1, ..Pruned::default() }).then_some(())
    })
    .await;
    let repeated = harness.insert(repeat.expect("it was set above")).await.expect("it is answered");
    assert!(matches!(repeated, Inserted::Replayed(_)), "{repeated:?}");
}
