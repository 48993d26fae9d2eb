//! A person's wish is done where the message's state allows it.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{
    ANA, LONG, Rig, accepted, ambiguous, deferred, draft, eager, holding, refused, report, wait_until,
};
use crate::contracts::store::{Change, Changed, MessageStore, Pruned, Retention};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::recipient::RecipientStatus;
use crate::domain::report::Outcome;
use crate::domain::retry::RetryPolicy;
use crate::domain::status::Status;
use crate::domain::transition::DeliveryPolicy;

/// A message that one attempt has brought where `outcome` leads.
async fn settled(rig: &Rig, outcome: Outcome, policy: DeliveryPolicy) -> MessageId {
    let id = rig.submit(&draft("settled")).await;
    let claimed = rig.claim(id, LONG).await;
    rig.settle(&claimed, report([(ANA, outcome)]), policy).await;
    id
}

/// The wish was done: the answer says what the record says.
async fn done(rig: &Rig, id: MessageId, change: Change, expected: Status) {
    let answer = rig.change(id, change).await;
    let record = rig.record(id).await;
    let Changed::Done { status, entry } = answer else { panic!("{change:?} was answered {answer:?}") };
    assert_eq!((status, record.delivery.status), (expected, expected));
    assert_eq!((entry.id, entry.lane, entry.due_at), (id, record.lane, record.due_at));
    assert_eq!(record.finished_at.is_some(), expected.is_final());
}

/// The wish was not done, and nothing changed.
async fn not_allowed(rig: &Rig, id: MessageId, change: Change) {
    let before = rig.record(id).await;
    assert_eq!(rig.change(id, change).await, Changed::NotAllowed(before.delivery.status));
    assert_eq!(rig.record(id).await, before);
}

/// What waits can be withdrawn; it is not sent then.
pub async fn cancels_what_is_queued(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let id = rig.submit(&draft("unwanted")).await;
    done(&rig, id, Change::Cancel, Status::Cancelled).await;
    assert!(rig.claim_all(&[id], LONG).await.is_empty());
    let later = rig.submit(&draft("unwanted later").at(rig.now().await + time::Duration::hours(1))).await;
    done(&rig, later, Change::Cancel, Status::Cancelled).await;
}

/// What may have been sent cannot be withdrawn any more, only left in doubt.
pub async fn doubts_what_it_cancels_too_late(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let id = settled(&rig, ambiguous(), eager()).await;
    done(&rig, id, Change::Cancel, Status::Unknown).await;
}

/// What is being sent, or is at its end, cannot be withdrawn or moved.
pub async fn cancels_nothing_that_is_sending_or_done(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let sending = rig.submit(&draft("sending")).await;
    rig.claim(sending, LONG).await;
    let sent = settled(&rig, accepted(), eager()).await;
    let failed = settled(&rig, refused(), eager()).await;
    let unknown = settled(&rig, ambiguous(), holding()).await;
    let cancelled = rig.submit(&draft("cancelled")).await;
    rig.change(cancelled, Change::Cancel).await;
    let at = rig.now().await + time::Duration::hours(1);
    for id in [sending, sent, failed, unknown, cancelled] {
        not_allowed(&rig, id, Change::Cancel).await;
        not_allowed(&rig, id, Change::Reschedule(at)).await;
    }
}

/// What waits for its next attempt, or its time, can be tried at once; its time until giving up starts anew.
pub async fn retries_what_waits(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let retry = RetryPolicy { first: Duration::from_secs(60), ..eager().retry };
    let id = settled(&rig, deferred(), DeliveryPolicy { retry, ..eager() }).await;
    assert!(rig.claim_all(&[id], LONG).await.is_empty(), "not due yet");
    let before = rig.now().await;
    done(&rig, id, Change::RetryNow, Status::Queued).await;
    let claimed = rig.claim(id, LONG).await;
    assert_eq!(claimed.delivery.attempt, 2);
    let most = Duration::try_from(claimed.claimed_at - before).expect("time moves on");
    assert!(claimed.age <= most, "it is as old as the wish");
}

/// What failed, or is in doubt, can be tried again; doubt stays.
pub async fn retries_what_failed_or_is_unknown(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let failed = settled(&rig, refused(), eager()).await;
    done(&rig, failed, Change::RetryNow, Status::Queued).await;
    let claimed = rig.claim(failed, LONG).await;
    assert_eq!(claimed.delivery.recipients[0].status, RecipientStatus::Queued);
    assert_eq!(claimed.delivery.attempts.len(), 1, "the log goes on");

    let unknown = settled(&rig, ambiguous(), holding()).await;
    done(&rig, unknown, Change::RetryNow, Status::Queued).await;
    let claimed = rig.claim(unknown, LONG).await;
    assert!(claimed.delivery.maybe_sent());
    rig.settle(&claimed, report([(ANA, refused())]), eager()).await;
    assert_eq!(rig.record(unknown).await.delivery.status, Status::Unknown, "never falsely failed");
}

/// What is sent, being sent or withdrawn is not tried again.
pub async fn retries_nothing_that_is_sent(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let sent = settled(&rig, accepted(), eager()).await;
    not_allowed(&rig, sent, Change::RetryNow).await;
    let sending = rig.submit(&draft("sending")).await;
    rig.claim(sending, LONG).await;
    not_allowed(&rig, sending, Change::RetryNow).await;
    let cancelled = rig.submit(&draft("cancelled")).await;
    rig.change(cancelled, Change::Cancel).await;
    not_allowed(&rig, cancelled, Change::RetryNow).await;
}

/// What retention has taken the content of cannot be tried again.
pub async fn retries_nothing_without_content(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let id = settled(&rig, refused(), eager()).await;
    let retention = Retention { content: Duration::ZERO, record: Duration::from_secs(3600) };
    wait_until("the content is old enough", || async {
        let pruned = rig.store.prune(&retention, 10).await.expect("pruning works");
        (pruned == Pruned { contents: 1, ..Pruned::default() }).then_some(())
    })
    .await;
    not_allowed(&rig, id, Change::RetryNow).await;
}

/// What waits can be moved, back and forth.
pub async fn reschedules(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let id = rig.submit(&draft("moved")).await;
    let ahead = rig.now().await + time::Duration::hours(2);
    let ahead = ahead.replace_nanosecond(654_321_000).expect("a nanosecond within its second");
    done(&rig, id, Change::Reschedule(ahead), Status::Queued).await;
    let moved = rig.record(id).await;
    assert_eq!((moved.due_at, moved.scheduled_at), (ahead, Some(ahead)));
    assert!(rig.claim_all(&[id], LONG).await.is_empty(), "not due yet");

    let soon = rig.now().await + time::Duration::milliseconds(30);
    done(&rig, id, Change::Reschedule(soon), Status::Queued).await;
    let due_at = rig.record(id).await.due_at;
    rig.past(soon).await;
    let claimed = rig.claim(id, LONG).await;
    assert!(claimed.age <= claimed.waited + Duration::from_micros(1), "its age counts from the new time");
    rig.settle(&claimed, report([(ANA, deferred())]), eager()).await;
    let deferred = rig.record(id).await;
    assert!(deferred.due_at > due_at, "it waits for its next attempt");
    assert_eq!(deferred.scheduled_at, Some(due_at), "that is nobody's wish");
}

/// What is moved into the past is due now: it does not overtake what has waited longer, and is no older than that.
pub async fn moves_nothing_into_the_past(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let waiting = rig.submit(&draft("waiting")).await;
    let moved = rig.submit(&draft("moved").at(rig.now().await + time::Duration::hours(1))).await;
    rig.tick().await;
    let before = rig.now().await;
    done(&rig, moved, Change::Reschedule(before - time::Duration::days(7)), Status::Queued).await;
    let due_at = rig.record(moved).await.due_at;
    assert!((before..=rig.now().await).contains(&due_at), "{due_at} for a wish of {before}");
    let due = rig.store.due(Lane::Normal, None, 10).await.expect("what is due is told");
    assert_eq!(due.iter().map(|entry| entry.id).collect::<Vec<_>>(), [waiting, moved]);
    let claimed = rig.claim(moved, LONG).await;
    let most = Duration::try_from(claimed.claimed_at - before).expect("time moves on");
    assert!(claimed.age <= most && claimed.waited <= most, "{:?} old after {most:?}", claimed.age);
}

/// There is no such message, or it is another tenant's: the answer is the same.
pub async fn finds_only_the_tenants_own(store: Arc<dyn MessageStore>) {
    let rig = Rig::new(store);
    let nowhere = rig.message(&draft("nowhere")).await.id;
    let hers = rig.submit_for("acme", &draft("hers")).await;
    for change in [Change::Cancel, Change::RetryNow, Change::Reschedule(rig.now().await)] {
        assert_eq!(rig.change(nowhere, change).await, Changed::NotFound);
        let answer = rig.store.change(Some("umbrella"), hers, change).await.expect("a wish is answered");
        assert_eq!(answer, Changed::NotFound);
    }
    let answer = rig.store.change(Some("acme"), hers, Change::Cancel).await.expect("a wish is answered");
    assert!(matches!(answer, Changed::Done { status: Status::Cancelled, .. }), "{answer:?}");
}
