//! Leases that ran out are ended, and the state of the message decides its next status.

use std::collections::HashSet;
use std::sync::Arc;

use super::harness::{
    ANA, Harness, LONG, SHORT, deferred, draft, eager, holding, impatient, report, terms, unsent, wait_until,
};
use crate::contracts::store::{LeaseTerms, MessageStore, Reclaimed, Renewal};
use crate::domain::attempt::AttemptOutcome;
use crate::domain::id::MessageId;
use crate::domain::report::Verdict;
use crate::domain::status::Status;

/// Without an allowed dot no copy can be out: the message simply waits again.
pub async fn lines_up_again_what_was_surely_not_sent(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("not sent")).await;
    let (_, reclaimed) = harness.lose(id, false, &holding()).await;
    assert_eq!(reclaimed, Reclaimed { id, status: Status::Queued, ambiguous: false });
    let delivery = harness.record(id).await.delivery;
    assert_eq!((delivery.status, delivery.attempt, delivery.lost_leases), (Status::Queued, 1, 1));
    assert!(!delivery.maybe_sent());
    assert_eq!(harness.claim(id, LONG).await.delivery.attempt, 2, "the lost attempt counts");
}

/// That the dot was allowed survives the worker: the message may have been sent.
pub async fn remembers_that_the_dot_was_allowed(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("maybe sent")).await;
    let (_, reclaimed) = harness.lose(id, true, &eager()).await;
    assert_eq!(reclaimed, Reclaimed { id, status: Status::Queued, ambiguous: true });
    assert!(harness.record(id).await.delivery.maybe_sent());
}

/// A dot that is allowed with the claim is remembered too; so it is of the messages alone that are small enough.
pub async fn remembers_that_the_dot_was_allowed_with_the_claim(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let small = harness.submit(&draft("small")).await;
    let large = harness.submit(&draft("large").html("x".repeat(5000))).await;
    let terms = LeaseTerms { dot_up_to: Some(4096), ..terms("worker", SHORT) };
    let claims = harness.store.claim(&[small, large], &terms).await.expect("a claim is answered");
    assert_eq!(claims.leased.len(), 2);
    for claimed in claims.leased {
        let (id, is_small) = (claimed.lease.id, claimed.lease.id == small);
        assert_eq!(claimed.delivery, harness.record(id).await.delivery, "the answer tells what is kept");
        assert_eq!(claimed.delivery.dot_allowed, is_small);
    }
    assert!(harness.reclaim(small, &eager()).await.ambiguous);
    assert!(harness.record(small).await.delivery.maybe_sent());
    let kept = harness.record(large).await.delivery;
    assert!(!kept.maybe_sent());
}

/// A message whose last lease was lost is allowed no dot with the claim, since it may be poison. A result in between ends
/// that.
pub async fn allows_no_dot_with_the_claim_after_a_lost_lease(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("poison")).await;
    harness.lose(id, false, &eager()).await;
    for expected in [false, true] {
        let terms = LeaseTerms { dot_up_to: Some(u64::MAX), ..terms("worker", LONG) };
        let claimed = wait_until("it is due again", || async {
            let claims = harness.store.claim(&[id], &terms).await.expect("a claim is answered");
            claims.leased.into_iter().next()
        })
        .await;
        assert_eq!(claimed.delivery, harness.record(id).await.delivery, "the answer tells what is kept");
        assert_eq!(claimed.delivery.dot_allowed, expected);
        harness.settle(&claimed, report([(ANA, deferred())]), eager()).await;
    }
}

/// A dot that was allowed with the claim and not sent leaves no doubt, once that is reported.
pub async fn forgets_a_dot_that_was_not_sent(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("given back")).await;
    for verdict in [Verdict::Withheld, report([(ANA, deferred())]).verdict] {
        let terms = LeaseTerms { dot_up_to: Some(u64::MAX), ..terms("worker", LONG) };
        let claimed = wait_until("it is due again", || async {
            let claims = harness.store.claim(&[id], &terms).await.expect("a claim is answered");
            claims.leased.into_iter().next()
        })
        .await;
        assert!(claimed.delivery.dot_allowed);
        harness.settle(&claimed, unsent(verdict), eager()).await;
        let delivery = harness.record(id).await.delivery;
        assert_eq!((delivery.status, delivery.dot_allowed), (Status::Queued, false));
        assert!(!delivery.maybe_sent());
    }
}

/// A renewal that asks for no dot takes none back.
pub async fn remembers_the_dot_through_later_renewals(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("maybe sent")).await;
    let claimed = harness.claim(id, LONG).await;
    harness.allow_dot(&claimed, LONG).await;
    let renewal = Renewal { lease: claimed.lease, before_dot: false };
    assert_eq!(harness.store.renew(vec![renewal], SHORT).await.expect("a renewal is answered"), [true]);
    assert!(harness.reclaim(id, &eager()).await.ambiguous);
}

/// With "hold", what may have been sent is parked.
pub async fn holds_what_may_have_been_sent(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("maybe sent")).await;
    let (_, reclaimed) = harness.lose(id, true, &holding()).await;
    assert_eq!(reclaimed, Reclaimed { id, status: Status::Unknown, ambiguous: true });
    assert!(harness.record(id).await.finished_at.is_some());
}

/// The dot is asked for anew under each lease.
pub async fn forgets_the_dot_with_the_next_claim(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("twice")).await;
    harness.lose(id, true, &eager()).await;
    let (second, reclaimed) = harness.lose(id, false, &eager()).await;
    assert!(!second.delivery.dot_allowed);
    assert!(!reclaimed.ambiguous, "the second lease had no dot");
    assert!(harness.record(id).await.delivery.maybe_sent(), "the first had");
}

/// The attempt log names the worker that vanished.
pub async fn writes_down_the_lost_lease(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("lost")).await;
    let (claimed, _) = harness.lose(id, false, &eager()).await;
    let attempts = harness.record(id).await.delivery.attempts;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome, AttemptOutcome::LeaseLost);
    assert_eq!((attempts[0].attempt, attempts[0].worker.as_str()), (1, "worker"));
    assert_eq!(attempts[0].started_at, claimed.claimed_at);
}

/// After three workers in a row have vanished, no fourth gets the message.
pub async fn fails_poison(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("poison")).await;
    for expected in [Status::Queued, Status::Queued, Status::Failed] {
        let (_, reclaimed) = harness.lose(id, false, &eager()).await;
        assert_eq!(reclaimed.status, expected);
    }
    let record = harness.record(id).await;
    assert_eq!((record.delivery.status, record.delivery.attempts.len()), (Status::Failed, 3));
    assert!(record.finished_at.is_some());
}

/// Nobody can say that poison has failed if one of the workers had been allowed the dot.
pub async fn doubts_poison_that_may_have_been_sent(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("poison")).await;
    for (dot, expected) in [(false, Status::Queued), (true, Status::Queued), (false, Status::Unknown)] {
        let (_, reclaimed) = harness.lose(id, dot, &eager()).await;
        assert_eq!(reclaimed.status, expected);
    }
}

/// A result in between shows that the message is no poison.
pub async fn counts_only_leases_lost_in_a_row(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("no poison")).await;
    for _ in 0..3 {
        harness.lose(id, false, &eager()).await;
        harness.lose(id, false, &eager()).await;
        let claimed = harness.claim(id, LONG).await;
        assert_eq!(claimed.delivery.lost_leases, 2);
        harness.settle(&claimed, report([(ANA, deferred())]), eager()).await;
    }
    assert_eq!(harness.record(id).await.delivery.status, Status::Queued);
}

/// A message whose lease was lost is not tried again after its time is up.
pub async fn gives_up_by_age(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let (sure, doubtful) = (harness.submit(&draft("sure")).await, harness.submit(&draft("doubtful")).await);
    assert_eq!(harness.lose(sure, false, &impatient()).await.1.status, Status::Failed);
    assert_eq!(harness.lose(doubtful, true, &impatient()).await.1.status, Status::Unknown);
}

/// A lease that has not run out is not ended.
pub async fn leaves_leases_that_hold(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = harness.submit_in_turn(2).await;
    harness.claim(ids[0], LONG).await;
    let ended = harness.store.reclaim(harness.now().await, 10, &eager()).await.expect("leases can be ended");
    assert!(ended.is_empty(), "{ended:?}");
    assert_eq!(harness.record(ids[0]).await.delivery.status, Status::Sending);
}

/// Only leases that ran out before the time that is given end: that is the grace after an outage.
pub async fn respects_the_time_it_is_given(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("graced")).await;
    let claimed = harness.claim(id, SHORT).await;
    harness.past(claimed.claimed_at + time::Duration::milliseconds(20)).await;
    let graced = harness.store.reclaim(claimed.claimed_at, 10, &eager()).await.expect("leases can be ended");
    assert!(graced.is_empty(), "it ran out after that time: {graced:?}");
    let ended = harness.store.reclaim(harness.now().await, 10, &eager()).await.expect("leases can be ended");
    assert_eq!(ended.len(), 1);
}

/// Leases for `count` messages that have all run out.
async fn run_out(harness: &Harness, count: usize) -> HashSet<MessageId> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        ids.push(harness.submit(&draft(&format!("number {n}"))).await);
    }
    assert_eq!(harness.claim_all(&ids, SHORT).await.len(), count);
    harness.past(harness.now().await + time::Duration::milliseconds(5)).await;
    HashSet::from_iter(ids)
}

/// One call ends no more leases than it may, the next ones go on.
pub async fn stops_at_the_limit(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = run_out(&harness, 5).await;
    let mut ended = Vec::new();
    for expected in [2, 2, 1, 0] {
        let now = harness.now().await;
        let page = harness.store.reclaim(now, 2, &eager()).await.expect("leases can be ended");
        assert_eq!(page.len(), expected);
        ended.extend(page.into_iter().map(|reclaimed| reclaimed.id));
    }
    assert_eq!(HashSet::from_iter(ended), ids);
}

/// Sweepers at work at the same time end each lease once.
pub async fn shares_the_work(store: Arc<dyn MessageStore>) {
    let harness = Arc::new(Harness::new(store));
    let ids = run_out(&harness, 40).await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let harness = Arc::clone(&harness);
        tasks.push(tokio::spawn(async move {
            let now = harness.now().await;
            harness.store.reclaim(now, 40, &eager()).await.expect("leases can be ended")
        }));
    }
    let mut ended = Vec::new();
    for task in tasks {
        ended.extend(task.await.expect("no task panics").into_iter().map(|reclaimed| reclaimed.id));
    }
    // One that skipped rows another had locked may have left some that the other's page had no room for.
    let now = harness.now().await;
    let rest = harness.store.reclaim(now, 40, &eager()).await.expect("leases can be ended");
    ended.extend(rest.into_iter().map(|reclaimed| reclaimed.id));
    assert_eq!(ended.len(), 40, "each once");
    assert_eq!(HashSet::from_iter(ended), ids);
    for id in ids {
        assert_eq!(harness.record(id).await.delivery.attempts.len(), 1);
    }
}
