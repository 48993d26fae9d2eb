//! A lease holds as long as it is renewed, and is lost once another worker has one.

use std::sync::Arc;

use uuid::Uuid;

use super::harness::{Harness, LONG, SHORT, draft, eager};
use crate::contracts::store::{Lease, MessageStore, Renewal};
use crate::domain::status::Status;

async fn renew(harness: &Harness, leases: &[Lease], duration: std::time::Duration) -> Vec<bool> {
    let renewals = leases.iter().map(|&lease| Renewal { lease, before_dot: false }).collect();
    harness.store.renew(renewals, duration).await.expect("a renewal is answered")
}

/// A lease that is renewed outlasts its first length.
pub async fn extends_a_lease_that_is_held(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("long")).await;
    let claimed = harness.claim(id, std::time::Duration::from_millis(50)).await;
    assert_eq!(renew(&harness, &[claimed.lease], LONG).await, [true]);
    harness.past(claimed.claimed_at + time::Duration::milliseconds(60)).await;
    let ended = harness.store.reclaim(harness.now().await, 10, &eager()).await.expect("leases can be ended");
    assert!(ended.is_empty(), "it holds: {ended:?}");
    assert_eq!(harness.record(id).await.delivery.status, Status::Sending);
}

/// One answer for each lease, in the order they were asked about.
pub async fn answers_in_order(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = harness.submit_in_turn(3).await;
    let mut leases = Vec::new();
    for id in ids {
        leases.push(harness.claim(id, LONG).await.lease);
    }
    let guessed = Lease { token: Uuid::from_u128(fastrand::u128(..)), ..leases[1] };
    let nowhere = Lease { id: harness.message(&draft("nowhere")).await.id, ..leases[0] };
    let asked = [leases[2], guessed, leases[0], nowhere, leases[1]];
    assert_eq!(renew(&harness, &asked, LONG).await, [true, false, true, false, true]);
    assert!(renew(&harness, &[], LONG).await.is_empty());
}

/// A lease that ran out is still held until somebody ends it.
pub async fn revives_a_lease_that_ran_out_unnoticed(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("slow")).await;
    let claimed = harness.claim(id, SHORT).await;
    harness.past(claimed.claimed_at + time::Duration::milliseconds(5)).await;
    assert_eq!(renew(&harness, &[claimed.lease], LONG).await, [true]);
    let ended = harness.store.reclaim(harness.now().await, 10, &eager()).await.expect("leases can be ended");
    assert!(ended.is_empty(), "it holds again: {ended:?}");
}

/// A lease that was ended is lost, also once somebody else holds the next one.
pub async fn says_when_a_lease_is_lost(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("stolen")).await;
    let (first, _) = harness.lose(id, false, &eager()).await;
    assert_eq!(renew(&harness, &[first.lease], LONG).await, [false]);
    let second = harness.claim(id, LONG).await;
    let before_dot = Renewal { lease: first.lease, before_dot: true };
    assert_eq!(harness.store.renew(vec![before_dot], LONG).await.expect("a renewal is answered"), [false]);
    assert!(!harness.record(id).await.delivery.dot_allowed, "nothing is noted for who holds no lease");
    assert_eq!(renew(&harness, &[second.lease], LONG).await, [true]);
}
