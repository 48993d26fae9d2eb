//! Results are written down as the rules say.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{
    ANA, Harness, LONG, RUI, accepted, ambiguous, deferred, draft, draft_for_two, eager, holding, impatient,
    refused, report, settlement, unsent,
};
use crate::contracts::store::{Claimed, MessageStore, Settled};
use crate::domain::attempt::AttemptOutcome;
use crate::domain::recipient::RecipientStatus;
use crate::domain::record::Record;
use crate::domain::report::{Outcome, RelayFault, Reply, Report, Verdict};
use crate::domain::retry::RetryPolicy;
use crate::domain::status::Status;
use crate::domain::transition::{DeliveryPolicy, Due};

/// Settles a claimed message and holds the store to what the rules make of it.
async fn settle(harness: &Harness, claimed: &Claimed, report: Report, policy: DeliveryPolicy) -> Record {
    let expected = settlement(claimed, report.clone(), policy).transition().expect("it is being sent");
    let before = harness.now().await;
    let settled = harness.settle(claimed, report, policy).await;
    let after = harness.now().await;
    let record = harness.record(claimed.lease.id).await;
    assert_eq!(settled, Settled::Recorded(expected.delivery.status));
    assert_eq!(record.delivery, expected.delivery);
    assert_eq!(record.finished_at.is_some(), expected.delivery.status.is_final());
    let settled_at = match expected.due {
        Due::In(pause) => Some(record.due_at - pause),
        _ => record.finished_at,
    };
    if let Some(at) = settled_at {
        assert!(before <= at && at <= after, "{at} lies between {before} and {after}");
    }
    record
}

async fn claimed(harness: &Harness) -> Claimed {
    let id = harness.submit(&draft("to be settled")).await;
    harness.claim(id, LONG).await
}

fn statuses(record: &Record) -> Vec<RecipientStatus> {
    record.delivery.recipients.iter().map(|recipient| recipient.status).collect()
}

/// A message that a server took is sent, and the log says so.
pub async fn records_a_success(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let record = settle(&harness, &claimed(&harness).await, report([(ANA, accepted())]), eager()).await;
    assert_eq!(record.delivery.status, Status::Sent);
    assert_eq!(record.delivery.attempts.len(), 1);
    assert_eq!(record.delivery.attempts[0].outcome, AttemptOutcome::Sent);
    assert!(harness.claim_all(&[record.id], LONG).await.is_empty(), "what is sent is not sent again");
}

/// A deferred message is due again after the pause of the policy, and not before.
pub async fn lines_up_a_deferred_message_again(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let retry = RetryPolicy { first: Duration::from_secs(60), ..eager().retry };
    let patient = DeliveryPolicy { retry, ..eager() };
    let record = settle(&harness, &claimed(&harness).await, report([(ANA, deferred())]), patient).await;
    assert_eq!(record.delivery.status, Status::Queued);
    assert!(
        record.due_at > harness.now().await + time::Duration::seconds(20),
        "half of a minute's window from now"
    );
    assert!(harness.claim_all(&[record.id], LONG).await.is_empty(), "not due yet");

    let record = settle(&harness, &claimed(&harness).await, report([(ANA, deferred())]), eager()).await;
    let again = harness.claim(record.id, LONG).await;
    assert_eq!(again.delivery.attempt, 2);
    assert_eq!(again.delivery.attempts.len(), 1, "the first attempt is on record");
}

/// A message that was refused for good has failed.
pub async fn fails_a_refused_message(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let record = settle(&harness, &claimed(&harness).await, report([(ANA, refused())]), eager()).await;
    assert_eq!(record.delivery.status, Status::Failed);
}

/// Recipients differ; the next attempt is for those that still wait.
pub async fn keeps_each_recipients_outcome(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft_for_two("for two")).await;
    let first = harness.claim(id, LONG).await;
    let record = settle(&harness, &first, report([(ANA, accepted()), (RUI, deferred())]), eager()).await;
    assert_eq!(record.delivery.status, Status::Queued);
    assert_eq!(statuses(&record), [RecipientStatus::Sent, RecipientStatus::Queued]);
    let second = harness.claim(id, LONG).await;
    assert_eq!(second.delivery.pending().map(|r| r.address.as_str()).collect::<Vec<_>>(), [RUI]);
    let record = settle(&harness, &second, report([(RUI, refused())]), eager()).await;
    assert_eq!(record.delivery.status, Status::Sent, "one got it, nobody waits");
    assert_eq!(statuses(&record), [RecipientStatus::Sent, RecipientStatus::Failed]);
}

/// With "retry", a lost reply leads to another attempt, and a refusal then cannot mean "failed" any more.
pub async fn retries_after_a_lost_reply(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let record = settle(&harness, &claimed(&harness).await, report([(ANA, ambiguous())]), eager()).await;
    assert_eq!(record.delivery.status, Status::Queued);
    assert!(record.delivery.maybe_sent());
    let again = harness.claim(record.id, LONG).await;
    assert!(again.delivery.maybe_sent(), "doubt outlives the claim");
    let record = settle(&harness, &again, report([(ANA, refused())]), eager()).await;
    assert_eq!(record.delivery.status, Status::Unknown);
}

/// With "hold", a lost reply parks the message.
pub async fn holds_after_a_lost_reply(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let record = settle(&harness, &claimed(&harness).await, report([(ANA, ambiguous())]), holding()).await;
    assert_eq!(record.delivery.status, Status::Unknown);
    assert!(harness.claim_all(&[record.id], LONG).await.is_empty());
}

/// A relay's fault is not the message's: the attempt does not count.
pub async fn gives_the_attempt_back_after_a_relay_fault(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("unlucky")).await;
    for times in 1..=3 {
        let claimed = harness.claim(id, LONG).await;
        assert_eq!(claimed.delivery.attempt, 1);
        let reply = Reply::new(None, "connection refused");
        let fault = Verdict::Fault { fault: RelayFault::Connect, reply, retry_after: Duration::ZERO };
        let record = settle(&harness, &claimed, unsent(fault), eager()).await;
        assert_eq!((record.delivery.status, record.delivery.attempt), (Status::Queued, 0));
        assert_eq!(record.delivery.attempts.len(), 1, "faults in a row make one line");
        assert_eq!(record.delivery.attempts[0].times, times);
    }
}

/// A throttled message only has to wait: the attempt does not count.
pub async fn gives_the_attempt_back_when_throttled(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("too many")).await;
    for times in 1..=3 {
        let claimed = harness.claim(id, LONG).await;
        assert_eq!(claimed.delivery.attempt, 1);
        let throttled = Outcome::Deferred(Reply::new(Some(450), "4.7.1 too much mail from you"));
        let record = settle(&harness, &claimed, report([(ANA, throttled)]), eager()).await;
        assert_eq!((record.delivery.status, record.delivery.attempt), (Status::Queued, 0));
        assert_eq!(record.delivery.attempts.len(), 1, "throttles in a row make one line");
        assert_eq!(record.delivery.attempts[0].times, times);
    }
}

/// A message withheld before the dot leaves no trace.
pub async fn gives_the_attempt_back_when_withheld(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let record = settle(&harness, &claimed(&harness).await, unsent(Verdict::Withheld), eager()).await;
    assert_eq!((record.delivery.status, record.delivery.attempt), (Status::Queued, 0));
    assert!(record.delivery.attempts.is_empty());
}

/// A deferred message has failed when its time is up.
pub async fn gives_up_by_age(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let record = settle(&harness, &claimed(&harness).await, report([(ANA, deferred())]), impatient()).await;
    assert_eq!(record.delivery.status, Status::Failed);
    let reply = record.delivery.recipients[0].reply.as_ref().expect("the reason is kept");
    assert_eq!(reply.code, Some(451), "with the last answer");
}

/// One answer for each result, in order, also where there is nothing to write down.
pub async fn answers_in_order(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let (one, two, three) = (claimed(&harness).await, claimed(&harness).await, claimed(&harness).await);
    let mut nowhere = one.clone();
    nowhere.lease.id = harness.message(&draft("nowhere")).await.id;
    let batch = [
        settlement(&three, report([(ANA, refused())]), eager()),
        settlement(&nowhere, report([(ANA, accepted())]), eager()),
        settlement(&one, report([(ANA, accepted())]), eager()),
        settlement(&one, report([(ANA, accepted())]), eager()),
        settlement(&two, report([(ANA, deferred())]), eager()),
    ];
    let results = harness.store.settle(batch.into_iter().map(Arc::new).collect()).await;
    let results: Vec<_> = results.into_iter().map(|result| result.expect("it is answered")).collect();
    let expected = [
        Settled::Recorded(Status::Failed),
        Settled::Superseded,
        Settled::Recorded(Status::Sent),
        Settled::Superseded,
        Settled::Recorded(Status::Queued),
    ];
    assert_eq!(results, expected);
    assert!(harness.store.settle(Vec::new()).await.is_empty());
}

/// A result that is written twice, since its first answer was lost, counts once.
pub async fn changes_nothing_the_second_time(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let reports = [accepted(), deferred(), refused(), ambiguous()].map(|outcome| report([(ANA, outcome)]));
    for said in reports {
        let claimed = claimed(&harness).await;
        let first = settle(&harness, &claimed, said.clone(), eager()).await;
        // A second write would show in the times.
        harness.tick().await;
        assert_eq!(harness.settle(&claimed, said, eager()).await, Settled::Superseded);
        assert_eq!(harness.record(claimed.lease.id).await, first);
    }
}
