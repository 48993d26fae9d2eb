//! A lease holds as long as it is renewed, and nobody keeps one that another has got.

use std::sync::Arc;

use uuid::Uuid;

use super::rig::{LONG, Rig, SHORT, draft, eager};
use crate::contracts::store::{Lease, MessageStore, Renewal};
use crate::domain::status::Status;

async fn renew(rig: &Rig, leases: &[Lease], duration: std::time::Duration) -> Vec<bool> {
    let renewals = leases.iter().map(|&lease| Renewal { lease, before_dot: false }).collect();
    rig.store.renew(renewals, duration).await.expect("a renewal is answered")
}

/// A lease that is renewed outlasts its first length.
pub async fn extends_a_lease_that_is_held(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let id = rig.submit(&draft("long")).await;
    let claimed = rig.claim(id, std::time::Duration::from_millis(50)).await;
    assert_eq!(renew(&rig, &[claimed.lease], LONG).await, [true]);
    rig.past(claimed.claimed_at + time::Duration::milliseconds(60)).await;
    let ended = rig.store.reclaim(rig.now().await, 10, &eager()).await.expect("leases can be ended");
    assert!(ended.is_empty(), "it holds: {ended:?}");
    assert_eq!(rig.record(id).await.delivery.status, Status::Sending);
}

/// One answer for each lease, in the order they were asked about.
pub async fn answers_in_order(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let ids = rig.submit_in_turn(3).await;
    let mut leases = Vec::new();
    for id in ids {
        leases.push(rig.claim(id, LONG).await.lease);
    }
    let guessed = Lease { token: Uuid::from_u128(fastrand::u128(..)), ..leases[1] };
    let nowhere = Lease { id: rig.message(&draft("nowhere")).await.id, ..leases[0] };
    let asked = [leases[2], guessed, leases[0], nowhere, leases[1]];
    assert_eq!(renew(&rig, &asked, LONG).await, [true, false, true, false, true]);
    assert!(renew(&rig, &[], LONG).await.is_empty());
}

/// A lease that ran out is still held until somebody ends it.
pub async fn revives_a_lease_that_ran_out_unnoticed(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let id = rig.submit(&draft("slow")).await;
    let claimed = rig.claim(id, SHORT).await;
    rig.past(claimed.claimed_at + time::Duration::milliseconds(5)).await;
    assert_eq!(renew(&rig, &[claimed.lease], LONG).await, [true]);
    let ended = rig.store.reclaim(rig.now().await, 10, &eager()).await.expect("leases can be ended");
    assert!(ended.is_empty(), "it holds again: {ended:?}");
}

/// A lease that was ended is lost, also once somebody else holds the next one.
pub async fn says_when_a_lease_is_lost(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let id = rig.submit(&draft("stolen")).await;
    let (first, _) = rig.lose(id, false, &eager()).await;
    assert_eq!(renew(&rig, &[first.lease], LONG).await, [false]);
    let second = rig.claim(id, LONG).await;
    let before_dot = Renewal { lease: first.lease, before_dot: true };
    assert_eq!(rig.store.renew(vec![before_dot], LONG).await.expect("a renewal is answered"), [false]);
    assert!(!rig.record(id).await.delivery.dot_allowed, "nothing is noted for who holds no lease");
    assert_eq!(renew(&rig, &[second.lease], LONG).await, [true]);
}
