//! A row that makes no sense costs itself, not its neighbours.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::harness::{ANA, Harness, LONG, SHORT, accepted, eager, report, settlement, wait_until};
use crate::contracts::store::{Change, Claimed, Filter, MessageStore, StoreError};
use crate::domain::id::MessageId;
use crate::domain::status::Status;

/// Writes rows past a store under test.
#[async_trait]
pub trait Spoil: Send + Sync {
    /// Writes JSON to a column of a message's delivery.
    async fn write(&self, id: MessageId, column: &str, json: &str);
}

/// Writes recipients in a shape that no version knows.
async fn spoil_recipients(kept: &dyn Spoil, id: MessageId) {
    kept.write(id, "recipients", r#"[{"to":"ana@example.org"}]"#).await;
}

/// Writes attempts in a shape that no version knows.
async fn spoil_attempts(kept: &dyn Spoil, id: MessageId) {
    // An object, which SQL that measures the list must survive.
    kept.write(id, "attempts", "{}").await;
}

/// Writes the recipient of the suite's simple drafts, which has not been tried, and no attempts.
async fn mend(kept: &dyn Spoil, id: MessageId) {
    kept.write(id, "recipients", r#"[{"address":"ana@example.org","status":"queued"}]"#).await;
    kept.write(id, "attempts", "[]").await;
}

const COUNT: usize = 4;

/// Messages, the second of which makes no sense when it is claimed.
async fn with_a_spoilt_one(
    harness: &Harness,
    kept: &dyn Spoil,
) -> (Vec<MessageId>, MessageId, HashSet<MessageId>) {
    let ids = harness.submit_in_turn(COUNT).await;
    spoil_recipients(kept, ids[1]).await;
    let sound = ids.iter().copied().filter(|id| *id != ids[1]).collect();
    (ids.clone(), ids[1], sound)
}

fn ids_of(claimed: &[Claimed]) -> HashSet<MessageId> {
    claimed.iter().map(|claimed| claimed.lease.id).collect()
}

/// Its neighbours are claimed. It waits for a while, and can be claimed when it makes sense again.
pub async fn claims_its_neighbours(store: Arc<dyn MessageStore>, kept: &dyn Spoil) {
    let harness = Harness::new(store);
    let (ids, spoilt, sound) = with_a_spoilt_one(&harness, kept).await;
    assert_eq!(ids_of(&harness.claim_all(&ids, LONG).await), sound);
    assert!(harness.claim_all(&ids, LONG).await.is_empty(), "it is not tried again and again");
    assert!(harness.store.get(None, spoilt).await.is_err(), "it says so itself");
    mend(kept, spoilt).await;
    let record = harness.record(spoilt).await;
    assert_eq!((record.delivery.status, record.delivery.attempt), (Status::Queued, 0), "nothing was tried");
    assert!(record.due_at > harness.now().await, "it waits");
    harness.change(spoilt, Change::RetryNow).await;
    harness.claim(spoilt, LONG).await;
}

/// The leases of its neighbours end.
pub async fn reclaims_its_neighbours(store: Arc<dyn MessageStore>, kept: &dyn Spoil) {
    let harness = Harness::new(store);
    let ids = harness.submit_in_turn(COUNT).await;
    assert_eq!(harness.claim_all(&ids, SHORT).await.len(), COUNT);
    spoil_attempts(kept, ids[0]).await;
    let mut ended = HashSet::new();
    while ended.len() < COUNT - 1 {
        // One at a time: what cannot be read must not take up the page for ever.
        let one = wait_until("another's lease is ended", || async {
            let page =
                harness.store.reclaim(harness.now().await, 1, &eager()).await.expect("leases can be ended");
            page.into_iter().next()
        });
        ended.insert(one.await.id);
    }
    assert!(!ended.contains(&ids[0]));
    mend(kept, ids[0]).await;
    assert_eq!(
        harness.record(ids[0]).await.delivery.status,
        Status::Sending,
        "nobody said what became of it"
    );
}

/// It is listed as what it is, among its neighbours.
pub async fn lists_its_neighbours(store: Arc<dyn MessageStore>, kept: &dyn Spoil) {
    let harness = Harness::new(store);
    let (mut ids, spoilt, _) = with_a_spoilt_one(&harness, kept).await;
    ids.reverse();
    let page = harness.store.list(&Filter::default()).await.expect("a page is read");
    assert_eq!(page.ids().collect::<Vec<_>>(), ids);
    assert_eq!(page.readable().count(), COUNT - 1);
    let (partial, fault) = page.records.into_iter().find_map(Result::err).expect("one makes no sense");
    assert_eq!((partial.id, partial.status), (spoilt, Status::Queued));
    assert_eq!(partial.subject, "number 1");
    assert!(matches!(fault, StoreError::Unreadable(_)), "{fault}");
}

/// A row that was spoilt while it was sent is settled like its neighbours: it could be read when it was claimed.
pub async fn settles_it_among_its_neighbours(store: Arc<dyn MessageStore>, kept: &dyn Spoil) {
    let harness = Harness::new(store);
    let ids = harness.submit_in_turn(COUNT).await;
    let claimed = harness.claim_all(&ids, LONG).await;
    spoil_recipients(kept, ids[1]).await;
    spoil_attempts(kept, ids[2]).await;
    let settlements =
        claimed.iter().map(|claimed| Arc::new(settlement(claimed, report([(ANA, accepted())]), eager())));
    for settled in harness.store.settle(settlements.collect()).await {
        settled.expect("it is written down");
    }
    for id in ids {
        assert_eq!(harness.record(id).await.delivery.status, Status::Sent);
    }
}
