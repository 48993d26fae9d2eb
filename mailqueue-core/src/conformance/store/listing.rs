//! Messages are found again, newest first.

use std::sync::Arc;

use super::harness::{ANA, Harness, LONG, RUI, accepted, draft, draft_for_two, eager, report};
use crate::contracts::store::{Change, Changed, Cursor, Filter, MessageStore};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::status::Status;

/// The ids of a page, and whether more follow.
async fn page(harness: &Harness, filter: Filter) -> (Vec<MessageId>, bool) {
    let page = harness.store.list(&filter).await.expect("a page is read");
    (page.ids().collect(), page.has_more)
}

/// `count` messages, newest first.
async fn newest_first(harness: &Harness, count: usize) -> Vec<MessageId> {
    let mut ids = harness.submit_in_turn(count).await;
    ids.reverse();
    ids
}

/// Following "after" meets every message once, and knows the last page.
pub async fn pages_to_older_ones(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    assert_eq!(page(&harness, Filter::default()).await, (vec![], false), "an empty store has an empty page");
    let ids = newest_first(&harness, 5).await;
    let two = |cursor| Filter { cursor, limit: 2, ..Filter::default() };
    assert_eq!(page(&harness, two(Cursor::Newest)).await, (ids[..2].to_vec(), true));
    assert_eq!(page(&harness, two(Cursor::After(ids[1]))).await, (ids[2..4].to_vec(), true));
    assert_eq!(page(&harness, two(Cursor::After(ids[3]))).await, (ids[4..].to_vec(), false));
    assert_eq!(page(&harness, two(Cursor::After(ids[4]))).await, (vec![], false));
    let exact = Filter { limit: 5, ..Filter::default() };
    assert_eq!(page(&harness, exact).await, (ids, false), "a page that just fits has no more");
    for subject in [None, Some("order".to_owned())] {
        let none = Filter { limit: 0, subject, ..Filter::default() };
        assert_eq!(page(&harness, none).await, (vec![], false), "there is nothing to go on from");
    }
}

/// "Before" gives the messages right before one, still newest first.
pub async fn pages_to_newer_ones(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = newest_first(&harness, 5).await;
    let two = |cursor| Filter { cursor, limit: 2, ..Filter::default() };
    assert_eq!(page(&harness, two(Cursor::Before(ids[4]))).await, (ids[2..4].to_vec(), true));
    assert_eq!(page(&harness, two(Cursor::Before(ids[2]))).await, (ids[..2].to_vec(), false));
    assert_eq!(page(&harness, two(Cursor::Before(ids[0]))).await, (vec![], false));
}

/// Only messages with the status asked for.
pub async fn filters_by_status(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = newest_first(&harness, 4).await;
    harness.change(ids[0], Change::Cancel).await;
    let claimed = harness.claim(ids[1], LONG).await;
    harness.settle(&claimed, report([("ana@example.org", accepted())]), eager()).await;
    harness.claim(ids[2], LONG).await;
    let expected = [
        (Status::Queued, vec![ids[3]]),
        (Status::Sending, vec![ids[2]]),
        (Status::Sent, vec![ids[1]]),
        (Status::Cancelled, vec![ids[0]]),
        (Status::Failed, vec![]),
        (Status::Unknown, vec![]),
    ];
    for (status, ids) in expected {
        assert_eq!(
            page(&harness, Filter { status: Some(status), ..Filter::default() }).await.0,
            ids,
            "{status}"
        );
    }
}

/// Only messages to an address, be it in to, cc or bcc; the domain's case does not count.
pub async fn filters_by_recipient(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    harness.submit(&draft("for one")).await;
    let both = harness.submit(&draft_for_two("for two")).await;
    let mut hidden = draft("hidden");
    hidden.bcc = vec!["Zé <Ze.Silva@bücher.example>".into()];
    let hidden = harness.submit(&hidden).await;
    let to = |to: &str| Filter { to: Some(to.to_owned()), ..Filter::default() };
    assert_eq!(page(&harness, to(RUI)).await.0, [both]);
    assert_eq!(page(&harness, to("rui@EXAMPLE.net")).await.0, [both]);
    assert_eq!(page(&harness, to("Ze.Silva@xn--bcher-kva.example")).await.0, [hidden]);
    assert_eq!(page(&harness, to("Ze.Silva@Bücher.example")).await.0, [hidden], "as it was given");
    for nobody in ["rui@example.ne", "ui@example.net", "%", "not an address", "shop@example.com"] {
        assert_eq!(page(&harness, to(nobody)).await.0, [], "{nobody}");
    }
}

/// Only messages whose subject contains a text, whatever its case; nothing in it is a wildcard.
pub async fn filters_by_subject(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut ids = Vec::new();
    for subject in ["Your order is on its way", "100% off", "a_b", "back\\slash", "it's"] {
        ids.push(harness.submit(&draft(subject)).await);
    }
    let found = [
        ("ORDER is", vec![ids[0]]),
        ("%", vec![ids[1]]),
        ("_", vec![ids[2]]),
        ("A_B", vec![ids[2]]),
        ("k\\s", vec![ids[3]]),
        ("'", vec![ids[4]]),
        ("1%o", vec![]),
        ("order on", vec![]),
    ];
    for (subject, ids) in found {
        let filter = Filter { subject: Some(subject.to_owned()), ..Filter::default() };
        assert_eq!(page(&harness, filter).await.0, ids, "{subject}");
    }
}

/// Only messages from an address, with a tag, in a lane; with a recipient as well as without.
pub async fn filters_by_sender_tag_and_lane(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let plain = harness.submit(&draft("plain")).await;
    harness.tick().await;
    let mut other = draft("other");
    other.tags = vec![("kind".into(), "welcome".into()), ("shop".into(), "7".into())];
    (other.from, other.lane) = ("Zé <ze@BÜCHER.example>".into(), Lane::Bulk);
    let other = harness.submit(&other).await;
    let all = Filter::default;
    let tag = |name: &str, value: Option<&str>| Some((name.to_owned(), value.map(str::to_owned)));
    let filters = [
        (Filter { from: Some("ze@xn--bcher-kva.example".into()), ..all() }, vec![other]),
        (Filter { from: Some("ze@bücher.example".into()), ..all() }, vec![other]),
        (Filter { from: Some("e@bücher.example".into()), ..all() }, vec![]),
        (Filter { from: Some("not an address".into()), ..all() }, vec![]),
        (Filter { from: Some("shop@example.com".into()), ..all() }, vec![plain]),
        (Filter { tag: tag("kind", None), ..all() }, vec![other]),
        (Filter { tag: tag("shop", Some("7")), ..all() }, vec![other]),
        (Filter { tag: tag("kind", Some("7")), ..all() }, vec![]),
        (Filter { tag: tag("welcome", None), ..all() }, vec![]),
        (Filter { lane: Some(Lane::Bulk), ..all() }, vec![other]),
        (Filter { lane: Some(Lane::Normal), ..all() }, vec![plain]),
        (Filter { lane: Some(Lane::Urgent), ..all() }, vec![]),
    ];
    for (filter, ids) in filters {
        assert_eq!(page(&harness, filter.clone()).await.0, ids, "{filter:?}");
        let to = Filter { to: Some(ANA.into()), ..filter };
        assert_eq!(page(&harness, to.clone()).await.0, ids, "{to:?}");
    }
}

/// Only messages accepted within a time, the first moment of it included; with a recipient as well as without.
pub async fn filters_by_time(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let ids = newest_first(&harness, 4).await;
    let at = |n: usize| ids[n].made_at();
    for to in [None, Some(ANA.to_owned())] {
        let within = |accepted_from, accepted_before| Filter {
            to: to.clone(),
            accepted_from,
            accepted_before,
            ..Filter::default()
        };
        assert_eq!(page(&harness, within(at(2), None)).await.0, ids[..3]);
        assert_eq!(page(&harness, within(None, at(2))).await.0, ids[3..]);
        let both = within(at(2), at(0));
        assert_eq!(page(&harness, both.clone()).await.0, ids[1..3]);
        assert_eq!(
            page(&harness, Filter { cursor: Cursor::After(ids[1]), ..both.clone() }).await.0,
            [ids[2]]
        );
        assert_eq!(page(&harness, Filter { cursor: Cursor::Before(ids[2]), ..both }).await.0, [ids[1]]);
        assert_eq!(page(&harness, within(at(1), at(1))).await.0, []);
    }
}

/// Every filter has to match, page by page.
pub async fn combines_filters(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let mut wanted = Vec::new();
    for n in 0..3 {
        harness.submit_for("umbrella", &draft_for_two("a note")).await;
        harness.submit_for("acme", &draft("a note")).await;
        harness.submit_for("acme", &draft_for_two("a letter")).await;
        wanted.insert(0, harness.submit_for("acme", &draft_for_two(&format!("a note {n}"))).await);
        harness.tick().await;
        let cancelled = harness.submit_for("acme", &draft_for_two("a note")).await;
        harness.change(cancelled, Change::Cancel).await;
    }
    let filter = |cursor| Filter {
        tenant: Some("acme".into()),
        status: Some(Status::Queued),
        to: Some(RUI.into()),
        subject: Some("NOTE".into()),
        cursor,
        limit: 2,
        ..Filter::default()
    };
    assert_eq!(page(&harness, filter(Cursor::Newest)).await, (wanted[..2].to_vec(), true));
    assert_eq!(page(&harness, filter(Cursor::After(wanted[1]))).await, (wanted[2..].to_vec(), false));
    assert_eq!(page(&harness, filter(Cursor::Before(wanted[2]))).await, (wanted[..2].to_vec(), false));
}

/// A list carries everything but text, HTML and the rendered message.
pub async fn leaves_bodies_out(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let id = harness.submit(&draft_for_two("listed").html("<p>It is on its way.</p>")).await;
    let page = harness.store.list(&Filter::default()).await.expect("a page is read");
    let mut expected = harness.record(id).await;
    assert!(expected.text.is_some() && expected.html.is_some() && expected.raw.is_some());
    (expected.text, expected.html, expected.raw) = (None, None, None);
    assert_eq!(page.readable().collect::<Vec<_>>(), [&expected]);
}

/// A tenant neither sees nor changes what is another's; `None` sees all.
pub async fn keeps_tenants_apart(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let hers = harness.submit_for("acme", &draft("hers")).await;
    let theirs = harness.submit_for("umbrella", &draft("theirs")).await;
    let of = |tenant: Option<&str>| Filter { tenant: tenant.map(str::to_owned), ..Filter::default() };
    assert_eq!(page(&harness, of(Some("acme"))).await.0, [hers]);
    assert_eq!(page(&harness, of(Some(""))).await.0, [], "no tenant is a tenant like any other");
    assert_eq!(page(&harness, of(None)).await.0.len(), 2);
    let get = async |tenant, id| harness.store.get(tenant, id).await.expect("records can be read").is_some();
    assert!(get(Some("umbrella"), theirs).await && get(None, theirs).await);
    assert!(!get(Some("acme"), theirs).await && !get(Some(""), theirs).await);
    let cancel =
        harness.store.change(Some("acme"), theirs, Change::Cancel).await.expect("a change is answered");
    assert_eq!(cancel, Changed::NotFound);
    assert_eq!(harness.record(theirs).await.delivery.status, Status::Queued);
}
