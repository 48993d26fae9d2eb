//! Repeating a submission is harmless.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::harness::{Harness, draft, idempotency, wait_until};
use crate::contracts::store::{Filter, Idempotency, Inserted, MessageStore, NewMessage, Submission};
use crate::domain::id::MessageId;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// One message under a key. Every call makes a new message.
async fn keyed(harness: &Harness, key: Idempotency) -> Submission {
    Submission { messages: vec![harness.message(&draft("once")).await], idempotency: Some(key) }
}

async fn stored(harness: &Harness) -> HashSet<MessageId> {
    let page = harness.store.list(&Filter { limit: 100, ..Filter::default() }).await.expect("a page is read");
    page.ids().collect()
}

/// The same key with the same content gives the ids of the first time and adds nothing.
pub async fn replays_the_same(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut first = keyed(&harness, idempotency("key", 1, DAY)).await;
    first.messages.push(harness.message(&draft("second")).await);
    let ids = first.ids();
    assert_eq!(harness.insert(first).await.expect("it is kept"), Inserted::Stored);
    for _ in 0..2 {
        let again = keyed(&harness, idempotency("key", 1, DAY)).await;
        assert_eq!(harness.insert(again).await.expect("it is answered"), Inserted::Replayed(ids.clone()));
    }
    assert_eq!(stored(&harness).await, HashSet::from_iter(ids));
}

/// The same key with other content is refused and adds nothing.
pub async fn refuses_a_key_for_something_else(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let first = keyed(&harness, idempotency("key", 1, DAY)).await;
    let ids = first.ids();
    assert_eq!(harness.insert(first).await.expect("it is kept"), Inserted::Stored);
    let other = keyed(&harness, idempotency("key", 2, DAY)).await;
    assert_eq!(harness.insert(other).await.expect("it is answered"), Inserted::KeyReused);
    assert_eq!(stored(&harness).await, HashSet::from_iter(ids));
}

/// A key that stands twice in one batch is stored once.
pub async fn sees_a_repeat_within_a_batch(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut batch = Vec::new();
    for (key, what) in [("a", 1), ("b", 1), ("a", 1), ("a", 2)] {
        batch.push(Arc::new(keyed(&harness, idempotency(key, what, DAY)).await));
    }
    let results = harness.store.insert(batch.clone()).await;
    let results: Vec<_> = results.into_iter().map(|result| result.expect("it is answered")).collect();
    let expected =
        [Inserted::Stored, Inserted::Stored, Inserted::Replayed(batch[0].ids()), Inserted::KeyReused];
    assert_eq!(results, expected);
    assert_eq!(stored(&harness).await, HashSet::from([batch[0].ids()[0], batch[1].ids()[0]]));
}

/// Of many that submit the same at once, one stores it and all get the same ids.
pub async fn stores_once_however_many_ask_at_once(store: Arc<dyn MessageStore>) {
    let harness = Arc::new(Harness::new(store));
    let mut tasks = Vec::new();
    for _ in 0..32 {
        let harness = Arc::clone(&harness);
        tasks.push(tokio::spawn(async move {
            let submission = keyed(&harness, idempotency("key", 1, DAY)).await;
            let ids = submission.ids();
            (ids, harness.insert(submission).await.expect("it is answered"))
        }));
    }
    let mut answers = HashSet::new();
    let mut winners = 0;
    for task in tasks {
        match task.await.expect("no task panics") {
            (ids, Inserted::Stored) => {
                winners += 1;
                answers.insert(ids);
            }
            (_, Inserted::Replayed(ids)) => drop(answers.insert(ids)),
            (_, Inserted::KeyReused) => panic!("the content was the same"),
        }
    }
    assert_eq!((winners, answers.len()), (1, 1), "one stores it, all get the same ids");
    assert_eq!(stored(&harness).await.len(), 1);
}

/// A submission that is refused for its key leaves no part of it.
pub async fn adds_nothing_when_refused(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let first = keyed(&harness, idempotency("key", 1, DAY)).await;
    assert_eq!(harness.insert(first).await.expect("it is kept"), Inserted::Stored);
    let other = keyed(&harness, idempotency("key", 2, DAY)).await;
    let id = other.ids()[0];
    assert_eq!(harness.insert(other).await.expect("it is answered"), Inserted::KeyReused);
    assert_eq!(harness.store.get(None, id).await.expect("records can be read"), None);
    assert!(harness.claim_all(&[id], DAY).await.is_empty(), "and nothing to be sent");
}

/// A key recalls what was submitted under it, and nothing else does.
pub async fn recalls_what_was_submitted(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut first = keyed(&harness, idempotency("key", 1, DAY)).await;
    first.messages.push(harness.message(&draft("second")).await);
    let ids = first.ids();
    assert_eq!(harness.insert(first).await.expect("it is kept"), Inserted::Stored);
    let brief = Duration::from_millis(1);
    let gone = keyed(&harness, idempotency("gone", 1, brief)).await;
    assert_eq!(harness.insert(gone).await.expect("it is kept"), Inserted::Stored);
    let found = async |key: Idempotency| harness.store.find_by_key(&key).await.expect("it is answered");
    assert_eq!(found(idempotency("key", 1, brief)).await, Some(ids));
    assert_eq!(found(idempotency("key", 2, DAY)).await, None, "other content");
    assert_eq!(found(idempotency("other", 1, DAY)).await, None, "another key");
    let foreign = Idempotency { tenant: "acme".into(), ..idempotency("key", 1, DAY) };
    assert_eq!(found(foreign).await, None, "another tenant");
    wait_until("the key runs out", || async {
        found(idempotency("gone", 1, DAY)).await.is_none().then_some(())
    })
    .await;
}

/// A key that has run out counts as new.
pub async fn forgets_a_key_in_time(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let keep = Duration::from_millis(1);
    assert_eq!(
        harness.insert(keyed(&harness, idempotency("key", 1, keep)).await).await.expect("kept"),
        Inserted::Stored
    );
    wait_until("the key runs out", || async {
        // Other content, so that the answer is `KeyReused` until the key has run out.
        let other = keyed(&harness, idempotency("key", 2, DAY)).await;
        let answer = harness.insert(other).await.expect("it is answered");
        (answer == Inserted::Stored).then_some(())
    })
    .await;
    let third = keyed(&harness, idempotency("key", 3, DAY)).await;
    assert_eq!(
        harness.insert(third).await.expect("it is answered"),
        Inserted::KeyReused,
        "the new one holds"
    );
    assert_eq!(stored(&harness).await.len(), 2);
}

/// The key of a scheduled message is remembered until after it was due.
pub async fn remembers_a_key_past_the_scheduled_time(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let keep = Duration::from_millis(1);
    let at = harness.now().await + time::Duration::hours(1);
    let scheduled = harness.message(&draft("later").at(at)).await;
    let first = Submission { messages: vec![scheduled], idempotency: Some(idempotency("key", 1, keep)) };
    assert_eq!(harness.insert(first).await.expect("it is kept"), Inserted::Stored);
    harness.past(harness.now().await + time::Duration::milliseconds(20)).await;
    let again = keyed(&harness, idempotency("key", 1, keep)).await;
    assert!(matches!(harness.insert(again).await.expect("it is answered"), Inserted::Replayed(_)));
}

/// Two tenants may choose the same key.
pub async fn keeps_tenants_keys_apart(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    for tenant in ["acme", "umbrella"] {
        let message = NewMessage { tenant: tenant.into(), ..harness.message(&draft("once")).await };
        let key = Idempotency { tenant: tenant.into(), ..idempotency("key", 1, DAY) };
        let submission = Submission { messages: vec![message], idempotency: Some(key) };
        assert_eq!(harness.insert(submission).await.expect("it is kept"), Inserted::Stored);
    }
    assert_eq!(stored(&harness).await.len(), 2);
}
