//! A submission is kept wholly or not at all.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{Harness, draft, draft_for_two};
use crate::contracts::store::{Filter, Inserted, MessageStore, NewMessage, StoreError, Submission};
use crate::domain::delivery::Delivery;
use crate::domain::draft::Draft;
use crate::domain::lane::Lane;
use crate::domain::record::{Participants, Record, Summary};

/// A draft that uses every field.
fn full_draft() -> Draft {
    let mut draft = draft_for_two("Your order: café, 注文").html("<p>It is <b>on</b> its way.</p>");
    draft.bcc = vec!["Zé <ze@example.org>".into()];
    draft.reply_to = vec!["help@example.com".into()];
    draft.headers = vec![("X-Order".into(), "17; \"quoted\" \\ '%_".into())];
    draft.tags = vec![("kind".into(), "order".into()), ("kind".into(), "paid".into())];
    draft.lane = Lane::Bulk;
    draft.attach("bill.pdf", "application/pdf", vec![0, 159, 146, 150])
}

/// A message reads back as it was handed in, byte for byte, queued and due at once.
pub async fn reads_back_everything(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let before = harness.now().await;
    let new = NewMessage { tenant: "acme".into(), ..harness.message(&full_draft()).await };
    let submission = Submission { messages: vec![new.clone()], idempotency: None };
    assert_eq!(harness.insert(submission).await.expect("it is kept"), Inserted::Stored);

    let record = harness.record(new.id).await;
    assert!(
        record.created_at >= before && record.created_at <= harness.now().await,
        "created by the store's clock"
    );
    assert_eq!(record.due_at, record.created_at, "what is not scheduled is due at once");
    let message = &new.message;
    let expected = Record {
        id: new.id,
        tenant: "acme".into(),
        created_at: record.created_at,
        scheduled_at: None,
        summary: Summary {
            subject: message.subject.clone(),
            people: Participants::of(message),
            headers: message.headers.clone(),
            tags: message.tags.clone(),
            attachments: message.attachments.iter().map(|file| file.summary()).collect(),
        },
        text: message.text.clone(),
        html: message.html.clone(),
        raw: Some(new.raw.to_vec()),
        lane: Lane::Bulk,
        due_at: record.due_at,
        finished_at: None,
        delivery: Delivery::new(message.envelope()),
    };
    assert_eq!(record, expected);
}

/// The messages of one submission are all there afterwards.
pub async fn keeps_messages_together(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut messages = Vec::new();
    for subject in ["one", "two", "three"] {
        messages.push(harness.message(&draft(subject)).await);
    }
    let submission = Submission { messages, idempotency: None };
    let ids = submission.ids();
    assert_eq!(harness.insert(submission).await.expect("it is kept"), Inserted::Stored);
    for (id, subject) in ids.into_iter().zip(["one", "two", "three"]) {
        assert_eq!(harness.record(id).await.summary.subject, subject);
    }
}

/// A submission with one message that cannot be kept leaves nothing behind, not even its key.
pub async fn keeps_all_or_none_of_a_submission(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let taken = harness.submit(&draft("first")).await;
    let good = harness.message(&draft("good")).await;
    let bad = NewMessage { id: taken, ..harness.message(&draft("bad")).await };
    let key = super::harness::idempotency("key", 1, Duration::from_secs(60));
    let both = Submission { messages: vec![good.clone(), bad], idempotency: Some(key.clone()) };
    let refused = harness.insert(both).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "an id that is taken is refused: {refused:?}");
    assert_eq!(harness.store.get(None, good.id).await.expect("records can be read"), None);
    assert_eq!(harness.record(taken).await.summary.subject, "first", "what was there stays as it was");

    let alone = Submission { messages: vec![good], idempotency: Some(key) };
    assert_eq!(harness.insert(alone).await.expect("it is kept"), Inserted::Stored, "the key was not used up");
}

/// In one batch, what cannot be kept is refused and everything else is kept; results stand in order.
pub async fn refuses_only_what_is_bad(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let taken = harness.submit(&draft("first")).await;
    let mut submissions = Vec::new();
    for n in 0..9 {
        let mut message = harness.message(&draft(&format!("number {n}"))).await;
        if n % 3 == 1 {
            message.id = taken;
        }
        submissions.push(Arc::new(Submission { messages: vec![message], idempotency: None }));
    }
    let results = harness.store.insert(submissions.clone()).await;
    assert_eq!(results.len(), 9, "one result for each submission");
    for (n, result) in results.iter().enumerate() {
        if n % 3 == 1 {
            assert!(matches!(result, Err(StoreError::Refused(_))), "number {n}: {result:?}");
        } else {
            assert_eq!(*result.as_ref().expect("a neighbour is kept"), Inserted::Stored);
            let subject = harness.record(submissions[n].messages[0].id).await.summary.subject;
            assert_eq!(subject, format!("number {n}"));
        }
    }
    let page = harness.store.list(&Filter { limit: 100, ..Filter::default() }).await.expect("a page is read");
    assert_eq!(page.records.len(), 7, "nothing else is there");
}

/// A scheduled message is due at its time, to the microsecond.
pub async fn schedules(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ahead = harness.now().await + time::Duration::hours(1);
    // Whole microseconds, the finest that a store keeps.
    let at = ahead.replace_nanosecond(123_456_000).expect("a nanosecond within its second");
    let id = harness.submit(&draft("later").at(at)).await;
    let record = harness.record(id).await;
    assert_eq!(record.scheduled_at, Some(at));
    assert_eq!(record.due_at, at);
}

/// Text and HTML read back as they were submitted, whatever their rendered form makes of them.
pub async fn reads_back_bodies_to_the_octet(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let long = "x".repeat(5000);
    let mixed = "one\r\ntwo\nthree\rfour\n\r\r\n";
    let bodies = [
        "",
        "\n",
        " ",
        "a\r\nb\r\n",
        mixed,
        "From me\n.\n..\ntrailing \t\n",
        "é=20=\n ",
        &long,
        "注\u{2028}\u{1f4e7}",
    ];
    for (n, body) in bodies.into_iter().enumerate() {
        let other = bodies[(n + 1) % bodies.len()];
        let plain = Draft { text: None, ..draft("odd") };
        let both = plain.clone().text(body).html(other);
        let mut with_files = both.clone().attach("notes.txt", "text/plain", &b"attached"[..]);
        with_files = with_files.attach("page.html", "text/html", &b"<p>"[..]);
        with_files.attachments[0].content_id = Some("notes".into());
        for draft in [plain.clone().text(body), plain.html(body), both, with_files] {
            let record = harness.record(harness.submit(&draft).await).await;
            assert_eq!((record.text, record.html), (draft.text, draft.html));
        }
    }
}

/// A message of ten mebibytes comes back whole.
pub async fn keeps_large_messages(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    // Seven mebibytes are nearly ten in base64.
    let content: Vec<u8> = (0..7 << 20).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect();
    let new = harness.message(&draft("large").attach("data.bin", "application/octet-stream", content)).await;
    let submission = Submission { messages: vec![new.clone()], idempotency: None };
    assert_eq!(harness.insert(submission).await.expect("it is kept"), Inserted::Stored);
    let claimed = harness.claim(new.id, super::harness::LONG).await;
    assert!(claimed.raw == new.raw, "the message came back changed");
}
