//! A due message goes to exactly one worker.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::harness::{ANA, Harness, LONG, draft, draft_for_two, eager, refused, report, terms};
use crate::contracts::store::{Change, LeaseTerms, MessageStore, TooLarge};
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::status::Status;

/// Queued and due: each is claimed once and not again.
pub async fn takes_what_is_queued_and_due(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = harness.submit_in_turn(3).await;
    let claimed: HashSet<MessageId> =
        harness.claim_all(&ids, LONG).await.iter().map(|c| c.lease.id).collect();
    assert_eq!(claimed, HashSet::from_iter(ids.clone()));
    assert!(harness.claim_all(&ids, LONG).await.is_empty(), "what is leased is not claimable");
    assert_eq!(harness.record(ids[0]).await.delivery.status, Status::Sending);
    assert!(harness.claim_all(&[], LONG).await.is_empty());
}

/// A message that is scheduled, leased, finished or unknown to the store is left out, and stays as it is.
pub async fn leaves_out_what_is_not(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let scheduled = harness.submit(&draft("later").at(harness.now().await + time::Duration::hours(1))).await;
    let leased = harness.submit(&draft("leased")).await;
    harness.claim(leased, LONG).await;
    let cancelled = harness.submit(&draft("cancelled")).await;
    harness.change(cancelled, Change::Cancel).await;
    let failed = harness.submit(&draft("failed")).await;
    let claimed = harness.claim(failed, LONG).await;
    harness.settle(&claimed, report([(ANA, refused())]), eager()).await;
    let nowhere = harness.message(&draft("nowhere")).await.id;
    let due = harness.submit(&draft("due")).await;

    let ids = [scheduled, leased, cancelled, failed, nowhere, due];
    let claimed = harness.claim_all(&ids, LONG).await;
    assert_eq!(claimed.iter().map(|c| c.lease.id).collect::<Vec<_>>(), [due]);
    assert_eq!(harness.record(scheduled).await.delivery.attempt, 0, "not claimed, not counted");
}

/// The claim carries the lease, the state and all that is needed to send.
pub async fn hands_over_state_and_content(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut wanted = draft_for_two("to be sent");
    wanted.lane = Lane::Urgent;
    wanted.smtputf8 = true;
    wanted.bcc = vec!["zé@example.org".into()];
    let id = harness.submit(&wanted).await;
    let record = harness.record(id).await;

    let terms = terms("worker-7", LONG);
    let claimed = harness.store.claim(&[id], &terms).await.expect("a claim is answered").leased.remove(0);
    assert_eq!((claimed.lease.id, claimed.lease.token), (id, terms.token));
    assert_eq!(claimed.lane, Lane::Urgent);
    assert_eq!(claimed.sender, "shop@example.com");
    assert!(claimed.smtputf8, "a recipient needs SMTPUTF8");
    assert_eq!(Some(claimed.raw.to_vec()), record.raw);
    let expected = Delivery { status: Status::Sending, attempt: 1, ..record.delivery };
    assert_eq!(claimed.delivery, expected);
    assert_eq!(harness.record(id).await.delivery, expected, "what was handed over is what is kept");

    let plain = harness.submit(&draft("plain")).await;
    assert!(!harness.claim(plain, LONG).await.smtputf8);
}

/// Waited counts from the time it was last due, age from the time it was first.
pub async fn tells_how_long_it_waited(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("patient")).await;
    let created = harness.record(id).await.created_at;
    harness.past(created + time::Duration::milliseconds(30)).await;
    let (first, _) = harness.lose(id, false, &eager()).await;
    assert!(
        first.claimed_at > created && first.claimed_at <= harness.now().await,
        "claimed by the store's clock"
    );
    let since = Duration::try_from(first.claimed_at - created).expect("time moves on");
    assert_eq!((first.waited, first.age), (since, since), "the first time, both count from the submission");

    let lined_up = harness.record(id).await.due_at;
    harness.tick().await;
    let second = harness.claim(id, LONG).await;
    let since = |time| Duration::try_from(second.claimed_at - time).expect("time moves on");
    assert_eq!((second.waited, second.age), (since(lined_up), since(created)));
    assert!(second.waited < second.age);
}

/// However many ask for the same messages at once, each message goes to one of them.
pub async fn has_one_winner(store: Arc<dyn MessageStore>) {
    let harness = Arc::new(Harness::new(store));
    let mut ids = Vec::new();
    for n in 0..64 {
        ids.push(harness.submit(&draft(&format!("number {n}"))).await);
    }
    let mut tasks = Vec::new();
    for n in 0..32 {
        let (harness, mut ids) = (Arc::clone(&harness), ids.clone());
        // Each begins elsewhere, so that batches overlap crosswise and a wrong order of locks would deadlock.
        ids.rotate_left(n * 2);
        tasks.push(tokio::spawn(async move {
            let mut won = Vec::new();
            for some in ids.chunks(16) {
                won.extend(harness.claim_all(some, LONG).await.into_iter().map(|claimed| claimed.lease));
            }
            won
        }));
    }
    let mut winners = Vec::new();
    for task in tasks {
        winners.extend(task.await.expect("no task panics").into_iter().map(|lease| lease.id));
    }
    assert_eq!(winners.len(), 64, "each is won once");
    assert_eq!(HashSet::<MessageId>::from_iter(winners), HashSet::from_iter(ids));
}

/// An id that the queue repeats is claimed once.
pub async fn takes_a_repeated_id_once(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft("once")).await;
    assert_eq!(harness.claim_all(&[id, id, id], LONG).await.len(), 1);
    assert_eq!(harness.record(id).await.delivery.attempt, 1);
}

/// A message that is larger than asked for is named and stays as it is; one that is exactly as large is taken.
pub async fn takes_only_what_there_is_memory_for(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let small = harness.submit(&draft("small")).await;
    let middle = harness.submit(&draft("middle").text("m".repeat(3000))).await;
    let large = harness.submit(&draft("large").text("l".repeat(9000))).await;
    let octets = async |id| harness.record(id).await.raw.expect("it has its content").len() as u64;
    let (fits, too_large) = (octets(middle).await, TooLarge { id: large, octets: octets(large).await });

    let some = LeaseTerms { largest: fits, ..terms("worker", LONG) };
    let claims = harness.store.claim(&[large, middle, small], &some).await.expect("a claim is answered");
    let leased: HashSet<MessageId> = claims.leased.iter().map(|claimed| claimed.lease.id).collect();
    assert_eq!(leased, HashSet::from([small, middle]));
    assert_eq!(claims.too_large, [too_large]);
    let left = harness.record(large).await.delivery;
    assert_eq!((left.status, left.attempt), (Status::Queued, 0), "not claimed, not counted");

    let all = LeaseTerms { largest: too_large.octets, ..terms("worker", LONG) };
    let claims = harness.store.claim(&[large], &all).await.expect("a claim is answered");
    assert_eq!((claims.leased.len(), claims.too_large), (1, vec![]));
}

/// A message that could not be claimed at any size is not named.
pub async fn names_only_what_waits_as_too_large(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let scheduled = harness.submit(&draft("later").at(harness.now().await + time::Duration::hours(1))).await;
    let leased = harness.submit(&draft("leased")).await;
    harness.claim(leased, LONG).await;
    let nowhere = harness.message(&draft("nowhere")).await.id;
    let nothing = LeaseTerms { largest: 0, ..terms("worker", LONG) };
    let claims = harness.store.claim(&[scheduled, leased, nowhere], &nothing).await;
    let claims = claims.expect("a claim is answered");
    assert_eq!((claims.leased, claims.too_large), (vec![], vec![]));
}
