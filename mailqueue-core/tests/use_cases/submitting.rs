//! What an outbox takes in, and from whom.

use std::sync::Arc;

use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{Capacity, Draft, Outbox, SubmitError};
use tempfile::TempDir;

async fn within(capacity: Capacity) -> (Outbox, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let store = SqliteStore::open(folder.path().join("mail.db"), &SqliteOptions::default()).await;
    let queue = mailqueue_core::connect::queue(None, "default").expect("a queue in this process");
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
        own.submit_together(&drafts, None).await.expect_err("two of them are foreign"),
        own.prepare(&drafts, Some("key")).expect_err("nor is it for a host's own transaction"),
    ] {
        let SubmitError::ForeignSender(faults) = refusal else { panic!("{refusal}") };
        let pointers: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(pointers, ["/1/from", "/2/from"]);
    }
    let results = own.submit_many(drafts.to_vec()).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    outbox.submit_together(&drafts, None).await.expect("the outbox it was made from sends for anybody");
}

#[tokio::test]
async fn several_together_find_room_or_none_does() {
    let (outbox, _kept) = within(Capacity { messages: Some(10), octets: None }).await;
    let five = vec![from("a@shop.example"); 5];
    outbox.submit_together(&five, None).await.expect("there is room for eight");
    let refusal = outbox.submit_together(&five, None).await.expect_err("there is none for ten");
    assert!(matches!(refusal, SubmitError::Full), "{refusal}");
    let results = outbox.submit_many(five).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3, "each for itself");
}
