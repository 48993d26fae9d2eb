//! A change is made where the message's state allows it.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{
    ANA, Harness, LONG, accepted, ambiguous, deferred, draft, eager, holding, refused, report, wait_until,
};
use crate::contracts::store::{Change, Changed, DueRange, MessageStore, Pruned, Retention};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::recipient::RecipientStatus;
use crate::domain::report::Outcome;
use crate::domain::retry::RetryPolicy;
use crate::domain::status::Status;
use crate::domain::transition::DeliveryPolicy;

/// A message that one attempt has brought where `outcome` leads.
async fn settled(harness: &Harness, outcome: Outcome, policy: DeliveryPolicy) -> MessageId {
    let id = harness.submit(&draft("settled")).await;
    let claimed = harness.claim(id, LONG).await;
    harness.settle(&claimed, report([(ANA, outcome)]), policy).await;
    id
}

/// The change was made: the answer says what the record says.
async fn done(harness: &Harness, id: MessageId, change: Change, expected: Status) {
    let answer = harness.change(id, change).await;
    let record = harness.record(id).await;
    let Changed::Done { status, entry } = answer else { panic!("{change:?} was answered {answer:?}") };
    assert_eq!((status, record.delivery.status), (expected, expected));
    assert_eq!((entry.id, entry.lane, entry.due_at), (id, record.lane, record.due_at));
    assert_eq!(record.finished_at.is_some(), expected.is_final());
}

/// The change was refused, and nothing changed.
async fn not_allowed(harness: &Harness, id: MessageId, change: Change) {
    let before = harness.record(id).await;
    assert_eq!(harness.change(id, change).await, Changed::NotAllowed(before.delivery.status));
    assert_eq!(harness.record(id).await, before);
}

/// A message that waits can be cancelled; it is not sent then.
pub async fn cancels_what_is_queued(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("unwanted")).await;
    done(&harness, id, Change::Cancel, Status::Cancelled).await;
    assert!(harness.claim_all(&[id], LONG).await.is_empty());
    let later =
        harness.submit(&draft("unwanted later").at(harness.now().await + time::Duration::hours(1))).await;
    done(&harness, later, Change::Cancel, Status::Cancelled).await;
}

/// A message that may have been sent cannot be cancelled any more, only left in doubt.
pub async fn doubts_what_it_cancels_too_late(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = settled(&harness, ambiguous(), eager()).await;
    done(&harness, id, Change::Cancel, Status::Unknown).await;
}

/// A message that is sending or finished cannot be cancelled or moved.
pub async fn cancels_nothing_that_is_sending_or_done(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let sending = harness.submit(&draft("sending")).await;
    harness.claim(sending, LONG).await;
    let sent = settled(&harness, accepted(), eager()).await;
    let failed = settled(&harness, refused(), eager()).await;
    let unknown = settled(&harness, ambiguous(), holding()).await;
    let cancelled = harness.submit(&draft("cancelled")).await;
    harness.change(cancelled, Change::Cancel).await;
    let at = harness.now().await + time::Duration::hours(1);
    for id in [sending, sent, failed, unknown, cancelled] {
        not_allowed(&harness, id, Change::Cancel).await;
        not_allowed(&harness, id, Change::Reschedule(at)).await;
    }
}

/// A message that waits for its next attempt, or its time, can be tried at once; its time until giving up starts anew.
pub async fn retries_what_waits(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let retry = RetryPolicy { first: Duration::from_secs(60), ..eager().retry };
    let id = settled(&harness, deferred(), DeliveryPolicy { retry, ..eager() }).await;
    assert!(harness.claim_all(&[id], LONG).await.is_empty(), "not due yet");
    let before = harness.now().await;
    done(&harness, id, Change::RetryNow, Status::Queued).await;
    let claimed = harness.claim(id, LONG).await;
    assert_eq!(claimed.delivery.attempt, 2);
    let most = Duration::try_from(claimed.claimed_at - before).expect("time moves on");
    assert!(claimed.age <= most, "it is as old as the change");
}

/// A message that failed, or is in doubt, can be tried again; doubt stays.
pub async fn retries_what_failed_or_is_unknown(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let failed = settled(&harness, refused(), eager()).await;
    done(&harness, failed, Change::RetryNow, Status::Queued).await;
    let claimed = harness.claim(failed, LONG).await;
    assert_eq!(claimed.delivery.recipients[0].status, RecipientStatus::Queued);
    assert_eq!(claimed.delivery.attempts.len(), 1, "the log goes on");

    let unknown = settled(&harness, ambiguous(), holding()).await;
    done(&harness, unknown, Change::RetryNow, Status::Queued).await;
    let claimed = harness.claim(unknown, LONG).await;
    assert!(claimed.delivery.maybe_sent());
    harness.settle(&claimed, report([(ANA, refused())]), eager()).await;
    assert_eq!(harness.record(unknown).await.delivery.status, Status::Unknown, "never falsely failed");
}

/// A message that is sent, sending or cancelled is not tried again.
pub async fn retries_nothing_that_is_sent(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let sent = settled(&harness, accepted(), eager()).await;
    not_allowed(&harness, sent, Change::RetryNow).await;
    let sending = harness.submit(&draft("sending")).await;
    harness.claim(sending, LONG).await;
    not_allowed(&harness, sending, Change::RetryNow).await;
    let cancelled = harness.submit(&draft("cancelled")).await;
    harness.change(cancelled, Change::Cancel).await;
    not_allowed(&harness, cancelled, Change::RetryNow).await;
}

/// A message whose content was deleted cannot be tried again.
pub async fn retries_nothing_without_content(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = settled(&harness, refused(), eager()).await;
    let retention = Retention { content: Duration::ZERO, record: Duration::from_secs(3600) };
    wait_until("the content is old enough", || async {
        let pruned = harness.store.prune(&retention, 10).await.expect("pruning works");
        (pruned == Pruned { contents: 1, ..Pruned::default() }).then_some(())
    })
    .await;
    not_allowed(&harness, id, Change::RetryNow).await;
}

/// A message that waits can be moved, back and forth.
pub async fn reschedules(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("moved")).await;
    let ahead = harness.now().await + time::Duration::hours(2);
    // Whole microseconds, the finest that a store keeps.
    let ahead = ahead.replace_nanosecond(654_321_000).expect("a nanosecond within its second");
    done(&harness, id, Change::Reschedule(ahead), Status::Queued).await;
    let moved = harness.record(id).await;
    assert_eq!((moved.due_at, moved.scheduled_at), (ahead, Some(ahead)));
    assert!(harness.claim_all(&[id], LONG).await.is_empty(), "not due yet");

    let soon = harness.now().await + time::Duration::milliseconds(30);
    done(&harness, id, Change::Reschedule(soon), Status::Queued).await;
    let due_at = harness.record(id).await.due_at;
    harness.past(soon).await;
    let claimed = harness.claim(id, LONG).await;
    // A microsecond of tolerance, as each is rounded by itself.
    assert!(claimed.age <= claimed.waited + Duration::from_micros(1), "its age counts from the new time");
    harness.settle(&claimed, report([(ANA, deferred())]), eager()).await;
    let deferred = harness.record(id).await;
    assert!(deferred.due_at > due_at, "it waits for its next attempt");
    assert_eq!(deferred.scheduled_at, Some(due_at), "nobody asked for that");
}

/// A message moved into the past is due now: it does not overtake one that has waited longer, and is no older than
/// that.
pub async fn moves_nothing_into_the_past(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let waiting = harness.submit(&draft("waiting")).await;
    let moved = harness.submit(&draft("moved").at(harness.now().await + time::Duration::hours(1))).await;
    harness.tick().await;
    let before = harness.now().await;
    done(&harness, moved, Change::Reschedule(before - time::Duration::days(7)), Status::Queued).await;
    let due_at = harness.record(moved).await.due_at;
    assert!((before..=harness.now().await).contains(&due_at), "{due_at} for a change to {before}");
    let ten = DueRange { lane: Lane::Normal, before: None, limit: 10 };
    let due = harness.store.due(&[ten]).await.expect("what is due is told");
    assert_eq!(due.iter().map(|entry| entry.id).collect::<Vec<_>>(), [waiting, moved]);
    let claimed = harness.claim(moved, LONG).await;
    let most = Duration::try_from(claimed.claimed_at - before).expect("time moves on");
    assert!(claimed.age <= most && claimed.waited <= most, "{:?} old after {most:?}", claimed.age);
}

/// There is no such message, or it is another tenant's: the answer is the same.
pub async fn finds_only_the_tenants_own(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let nowhere = harness.message(&draft("nowhere")).await.id;
    let hers = harness.submit_for("acme", &draft("hers")).await;
    for change in [Change::Cancel, Change::RetryNow, Change::Reschedule(harness.now().await)] {
        assert_eq!(harness.change(nowhere, change).await, Changed::NotFound);
        let answer =
            harness.store.change(Some("umbrella"), hers, change).await.expect("a change is answered");
        assert_eq!(answer, Changed::NotFound);
    }
    let answer =
        harness.store.change(Some("acme"), hers, Change::Cancel).await.expect("a change is answered");
    assert!(matches!(answer, Changed::Done { status: Status::Cancelled, .. }), "{answer:?}");
}
