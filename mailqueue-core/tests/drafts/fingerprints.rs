//! What makes two drafts the same submission.

use bytes::Bytes;
use mailqueue_core::domain::schedule::Schedule;
use mailqueue_core::{Draft, Lane};
use time::{Duration, UtcOffset};

use super::{NOW, draft, with};

fn schedule(text: &str) -> Schedule {
    text.parse().expect("a schedule")
}

#[test]
fn equal_drafts_have_equal_fingerprints() {
    assert_eq!(draft().fingerprint(), draft().fingerprint());
    assert_eq!(draft().idempotency_key("a").fingerprint(), draft().idempotency_key("b").fingerprint());
    let file = |content: Bytes| draft().attach("a", "text/plain", content).fingerprint();
    assert_eq!(file(Bytes::from_static(b"abc")), file(Bytes::from(vec![b'a', b'b', b'c'])));
    let lisbon = NOW.to_offset(UtcOffset::from_hms(1, 0, 0).expect("an offset"));
    assert_eq!(draft().at(lisbon).fingerprint(), draft().at(NOW).fingerprint());
    let hour = |text| draft().at(schedule(text)).fingerprint();
    assert_eq!(hour("in an hour"), hour("60 minutes from now"));
}

#[test]
fn drafts_that_differ_have_other_fingerprints() {
    let mut drafts = vec![
        draft(),
        with(|draft| draft.from = "shop@example.com".into()),
        with(|draft| draft.to.push("rui@example.net".into())),
        with(|draft| draft.cc.push("rui@example.net".into())),
        with(|draft| draft.bcc.push("rui@example.net".into())),
        with(|draft| draft.reply_to.push("rui@example.net".into())),
        with(|draft| draft.subject.push(' ')),
        with(|draft| draft.text = None),
        with(|draft| draft.text = Some(String::new())),
        with(|draft| draft.html = Some(String::new())),
        with(|draft| draft.html = draft.text.take()),
        with(|draft| draft.headers = vec![("X-A".into(), "b".into())]),
        with(|draft| draft.headers = vec![("X-Ab".into(), String::new())]),
        with(|draft| draft.tags = vec![("X-A".into(), "b".into())]),
        with(|draft| draft.lane = Lane::Urgent),
        with(|draft| draft.smtputf8 = true),
        draft().at(NOW),
        draft().at(NOW + Duration::NANOSECOND),
        draft().at(schedule("in 1 hour")),
        draft().at(schedule("in 2 hours")),
        draft().at(schedule("tomorrow at 9am")),
        draft().at(schedule("tomorrow at 9am +01:00")),
        draft().at(schedule("friday at 9am")),
        draft().at(schedule("next friday at 9am")),
        draft().attach("a", "text/plain", &b"abc"[..]),
        draft().attach("a", "text/plain", &b"abd"[..]),
        draft().attach("b", "text/plain", &b"abc"[..]),
        draft().attach("a", "text/html", &b"abc"[..]),
    ];
    let count = drafts.len();
    drafts.sort_by_key(Draft::fingerprint);
    drafts.dedup_by_key(|draft| draft.fingerprint());
    assert_eq!(drafts.len(), count);
}
