//! Submissions that an outbox takes in and refuses.

use std::sync::Arc;

use mailqueue_core::domain::validation::ValidationError;
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Capacity, Draft, Filter, IdempotencyKey, Outbox, SubmitError};
use tempfile::TempDir;

async fn within(capacity: Capacity) -> (Outbox, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let store = SqliteStore::open(folder.path().join("mail.db"), &SqliteOptions::default()).await;
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    (Outbox::start_within(capacity, Arc::new(store.expect("it opens")), queue).await, folder)
}

fn from(address: &str) -> Draft {
    Draft::new(address, "ana@example.org", "Your order").text("It is on its way.")
}

#[tokio::test]
async fn senders_of_other_domains_are_pointed_at() {
    let (outbox, _kept) = within(Capacity::default()).await;
    let own = outbox.for_tenant("shop").sending_for(Arc::new(["shop.example".to_owned()]));
    own.submit(from("Shop <a@SHOP.example>")).await.expect("it is the outbox's own domain");
    let drafts = ["a@shop.example", "a@other.example", "a@sub.shop.example"].map(from);
    for refusal in [
        own.submit_all(drafts.to_vec(), None).await.expect_err("two of them are foreign"),
        own.prepare(&drafts, "key".parse().ok()).expect_err("nor is it for a host's own transaction"),
    ] {
        let SubmitError::ForeignSender(faults) = refusal else { panic!("{refusal}") };
        let pointers: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(pointers, ["/1/from", "/2/from"]);
    }
    let results = own.submit_many(drafts.to_vec()).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    outbox.submit_all(drafts.to_vec(), None).await.expect("the outbox it was made from sends for anybody");
}

#[tokio::test]
async fn several_together_find_room_or_none_does() {
    let (outbox, _kept) = within(Capacity { messages: Some(10), octets: None }).await;
    let five = vec![from("a@shop.example"); 5];
    outbox.submit_all(five.clone(), None).await.expect("there is room for eight");
    let refusal = outbox.submit_all(five.clone(), None).await.expect_err("there is none for ten");
    assert!(matches!(refusal, SubmitError::Full), "{refusal}");
    let results = outbox.submit_many(five).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3, "each for itself");
}

fn pointers(refusal: SubmitError) -> Vec<String> {
    let SubmitError::Invalid(ValidationError { faults }) = refusal else { panic!("{refusal}") };
    faults.into_iter().map(|fault| fault.pointer).collect()
}

#[tokio::test]
async fn a_faulty_idempotency_key_is_named_with_the_other_faults() {
    let (outbox, _kept) = within(Capacity::default()).await;
    let draft = from("a@shop.example");
    let largest = "k".repeat(256);
    let (two, keyed) = (vec![draft.clone(); 2], |key: &str| draft.clone().idempotency_key(key));
    for key in ["", "k\r\n", "k\0", "ключ", &"k".repeat(257)] {
        assert!(key.parse::<IdempotencyKey>().is_err(), "{key:?}");
        let refusal = outbox.submit(keyed(key)).await.expect_err("for one");
        assert_eq!(pointers(refusal), ["/idempotency_key"], "{key:?}");
    }
    outbox.submit(keyed(&largest)).await.expect("it is right");
    let key = "k 1".parse().expect("it is right");
    outbox.submit_all(two.clone(), Some(key)).await.expect("it is right");
    let faulty = Draft { subject: "\n".into(), ..keyed("") };
    let refusal = outbox.submit(faulty.clone()).await.expect_err("all of it is wrong");
    assert_eq!(pointers(refusal), ["/idempotency_key", "/subject"]);
    let refusal = outbox.submit_all(vec![faulty; 2], None).await.expect_err("both are wrong");
    assert_eq!(pointers(refusal), ["/0/subject", "/1/subject"]);
    // The keys of drafts are not looked at where one key stands for them all.
    outbox.submit_all(vec![keyed("a\0"), keyed("")], None).await.expect("there is none");
}

#[tokio::test]
async fn everything_else_goes_on_while_a_large_message_is_rendered() {
    let (outbox, _kept) = within(Capacity::default()).await;
    let large = from("a@shop.example").text("It is on its way.\n".repeat(200_000));
    let mut submitting = std::pin::pin!(outbox.submit(large));
    // The runtime of this test has one thread. Were the message rendered on it, it would be on its way to the store by now.
    assert!(futures_util::poll!(submitting.as_mut()).is_pending());
    let small = outbox.submit(from("b@shop.example")).await.expect("it is right");
    let listed = outbox.list(Filter { limit: 10, ..Filter::default() }).await.expect("it can be listed");
    assert_eq!(listed.ids().collect::<Vec<_>>(), [small.id]);
    let receipt = submitting.await.expect("it is right");
    let record = outbox.get(receipt.id).await.expect("it can be read").expect("it is there");
    assert_eq!(record.text.map(|text| text.len()), Some(200_000 * "It is on its way.\n".len()));
}
