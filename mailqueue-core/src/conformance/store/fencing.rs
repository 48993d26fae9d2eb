//! A worker that lost its lease cannot harm the message, but its success counts.

use std::sync::Arc;

use super::harness::{
    ANA, Harness, LONG, RUI, accepted, ambiguous, deferred, draft, draft_for_two, eager, holding, refused,
    report, settlement,
};
use crate::contracts::store::{Change, Claimed, MessageStore, Renewal, Settled};
use crate::domain::recipient::RecipientStatus;
use crate::domain::status::Status;

/// A claim on a new message for one whose lease is gone; the message is queued again.
async fn lost_claim(harness: &Harness) -> Claimed {
    let id = harness.submit(&draft("lost")).await;
    harness.lose(id, false, &eager()).await.0
}

/// The late success of `claim` is written down over `before`.
async fn succeeds_late(harness: &Harness, claim: &Claimed, before: Status) {
    let id = claim.lease.id;
    let old = harness.record(id).await;
    assert_eq!(old.delivery.status, before);
    let settled = harness.settle(claim, report([(ANA, accepted())]), eager()).await;
    assert_eq!(settled, Settled::Recorded(Status::Sent));
    let record = harness.record(id).await;
    assert_eq!(record.delivery.status, Status::Sent);
    assert!(!record.delivery.maybe_sent(), "there is no doubt left");
    assert!(record.finished_at.is_some());
    assert!(
        old.finished_at.is_none() || record.finished_at == old.finished_at,
        "it is kept no longer for that"
    );
    assert!(harness.claim_all(&[id], LONG).await.is_empty(), "it is not sent again");
    let again = harness.settle(claim, report([(ANA, accepted())]), eager()).await;
    assert_eq!(again, Settled::Superseded, "once is enough");
}

/// Nothing negative counts without the lease.
pub async fn ignores_a_late_failure(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let claim = lost_claim(&harness).await;
    let before = harness.record(claim.lease.id).await;
    for outcome in [refused(), deferred(), ambiguous()] {
        assert_eq!(harness.settle(&claim, report([(ANA, outcome)]), eager()).await, Settled::Superseded);
    }
    assert_eq!(harness.record(claim.lease.id).await, before);
}

/// Nor does it disturb who holds the lease now.
pub async fn ignores_a_late_failure_while_another_sends(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let first = lost_claim(&harness).await;
    let second = harness.claim(first.lease.id, LONG).await;
    let before = harness.record(first.lease.id).await;
    assert_eq!(harness.settle(&first, report([(ANA, refused())]), eager()).await, Settled::Superseded);
    assert_eq!(harness.record(first.lease.id).await, before);
    let settled = harness.settle(&second, report([(ANA, accepted())]), eager()).await;
    assert_eq!(settled, Settled::Recorded(Status::Sent));
}

/// A message that is queued again turns out to be sent.
pub async fn records_a_late_success_over_queued(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let claim = lost_claim(&harness).await;
    succeeds_late(&harness, &claim, Status::Queued).await;
}

/// A message that another is sending turns out to be sent; the other finds its lease gone.
pub async fn records_a_late_success_while_another_sends(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let first = lost_claim(&harness).await;
    let second = harness.claim(first.lease.id, LONG).await;
    succeeds_late(&harness, &first, Status::Sending).await;
    let renewal = Renewal { lease: second.lease, before_dot: true };
    assert_eq!(harness.store.renew(vec![renewal], LONG).await.expect("a renewal is answered"), [false]);
    assert_eq!(harness.settle(&second, report([(ANA, refused())]), eager()).await, Settled::Superseded);
    assert_eq!(harness.record(first.lease.id).await.delivery.status, Status::Sent);
}

/// A message that another saw refused turns out to be sent.
pub async fn records_a_late_success_over_failed(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let first = lost_claim(&harness).await;
    let second = harness.claim(first.lease.id, LONG).await;
    harness.settle(&second, report([(ANA, refused())]), eager()).await;
    succeeds_late(&harness, &first, Status::Failed).await;
}

/// A message that was parked in doubt turns out to be sent.
pub async fn records_a_late_success_over_unknown(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("in doubt")).await;
    let (claim, _) = harness.lose(id, true, &holding()).await;
    succeeds_late(&harness, &claim, Status::Unknown).await;
}

/// A message that was withdrawn meanwhile turns out to be sent.
pub async fn records_a_late_success_over_cancelled(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let claim = lost_claim(&harness).await;
    harness.change(claim.lease.id, Change::Cancel).await;
    succeeds_late(&harness, &claim, Status::Cancelled).await;
}

/// A late success for one recipient leaves the holder its lease, for the others.
pub async fn keeps_the_holders_lease_for_the_other_recipients(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft_for_two("for two")).await;
    let (first, _) = harness.lose(id, false, &eager()).await;
    let second = harness.claim(id, LONG).await;
    let late = harness.settle(&first, report([(ANA, accepted()), (RUI, refused())]), eager()).await;
    assert_eq!(late, Settled::Recorded(Status::Sending));
    let renewal = Renewal { lease: second.lease, before_dot: true };
    assert_eq!(harness.store.renew(vec![renewal], LONG).await.expect("a renewal is answered"), [true]);
    let settled = harness.settle(&second, report([(ANA, accepted()), (RUI, accepted())]), eager()).await;
    assert_eq!(settled, Settled::Recorded(Status::Sent));
}

/// The holder claimed before the late success was written; its own refusal does not undo it.
pub async fn keeps_a_late_success_from_the_holders_refusal(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft_for_two("for two")).await;
    let (first, _) = harness.lose(id, false, &eager()).await;
    let second = harness.claim(id, LONG).await;
    harness.settle(&first, report([(ANA, accepted()), (RUI, deferred())]), eager()).await;
    let settled = harness.settle(&second, report([(ANA, refused()), (RUI, refused())]), eager()).await;
    assert_eq!(settled, Settled::Recorded(Status::Sent), "a success always wins");
    let record = harness.record(id).await;
    let statuses: Vec<_> = record.delivery.recipients.iter().map(|recipient| recipient.status).collect();
    assert_eq!(statuses, [RecipientStatus::Sent, RecipientStatus::Failed]);
    assert_eq!(record.delivery.attempts.len(), 3, "the lost lease and both reports are on record");
}

/// A success of a lease that was lost is kept, also when it comes in one call with what the present holder reports.
pub async fn keeps_a_late_success_that_comes_with_the_holders_result(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("in one call")).await;
    let (first, _) = harness.lose(id, true, &eager()).await;
    let second = harness.claim(id, LONG).await;
    let late = settlement(&first, report([(ANA, accepted())]), eager());
    let held = settlement(&second, report([(ANA, deferred())]), eager());
    // The holder's comes first, so that the late one meets a row that has just changed.
    let results = harness.store.settle(vec![Arc::new(held), Arc::new(late)]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let delivery = harness.record(id).await.delivery;
    assert_eq!(delivery.status, Status::Sent, "what a server took, it took");
    assert!(!delivery.maybe_sent(), "and there is no doubt left");
}
