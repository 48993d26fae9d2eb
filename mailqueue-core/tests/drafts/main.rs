//! What is accepted and what is not: every rule of `Draft::check` with the pointer it names, addresses and mailboxes,
//! and fingerprints. The letters and numbers in comments are the rows of the catalogue of bad input.

mod addresses;
mod fingerprints;
mod schedules;

use bytes::Bytes;
use mailqueue_core::domain::attachment::AttachmentDraft;
use mailqueue_core::{Draft, Limits};
use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

fn draft() -> Draft {
    Draft::new("Shop <shop@example.com>", "ana@example.org", "Your order").text("It is on its way.")
}

/// Where a draft is faulty.
fn faults(draft: &Draft) -> Vec<String> {
    match draft.check(&Limits::default(), NOW) {
        Ok(_) => Vec::new(),
        Err(invalid) => {
            assert!(!invalid.faults.is_empty(), "a refusal names a fault");
            assert!(invalid.faults.iter().all(|fault| fault.detail.starts_with("must ")));
            invalid.faults.into_iter().map(|fault| fault.pointer).collect()
        }
    }
}

#[track_caller]
fn assert_fault(draft: &Draft, pointer: &str) {
    assert_eq!(faults(draft), [pointer], "{draft:?}");
}

#[track_caller]
fn assert_accepted(draft: &Draft) {
    assert_eq!(faults(draft), [""; 0], "{draft:?}");
}

fn with(change: impl FnOnce(&mut Draft)) -> Draft {
    let mut draft = draft();
    change(&mut draft);
    draft
}

fn file(filename: &str, content_type: Option<&str>, content_id: Option<&str>) -> AttachmentDraft {
    AttachmentDraft {
        filename: filename.to_owned(),
        content_type: content_type.map(str::to_owned),
        content_id: content_id.map(str::to_owned),
        content: Bytes::from_static(b"content"),
    }
}

fn addresses(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("r{n}@example.org")).collect()
}

/// Ways to break out of a line (B24, B31, B33) or to make it look like another one (B43).
const BREAKS: [&str; 15] = [
    "a\r\nBcc: eve@example.com",
    "a\nb",
    "a\rb",
    "\n",
    "a\0b",
    "a\tb",
    "a\u{7f}b",
    "a\u{85}b",
    "a\u{2028}b",
    "a\u{2029}b",
    "a\u{202e}b",
    "\u{202d}b\u{202c}",
    "a\u{2066}b",
    "\u{2067}a\u{202c}",
    "\u{2068}a\u{202b}b\u{2069}c\u{202c}",
];

#[test]
fn no_string_breaks_out_of_its_line() {
    for text in BREAKS {
        assert_fault(&with(|draft| draft.subject = text.into()), "/subject");
        assert_fault(&with(|draft| draft.headers = vec![("X-A".into(), text.into())]), "/headers/X-A");
        assert_fault(
            &with(|draft| draft.headers = vec![("References".into(), text.into())]),
            "/headers/References",
        );
        assert_fault(&with(|draft| draft.tags = vec![("a".into(), text.into())]), "/tags/0/value");
        assert_fault(&with(|draft| draft.tags = vec![(text.into(), "a".into())]), "/tags/0/name");
        assert_fault(&with(|draft| draft.idempotency_key = Some(text.into())), "/idempotency_key");
        for (filename, media, id, member) in [
            (text, "text/plain", "id", "filename"),
            ("a.txt", text, "id", "content_type"),
            ("a.txt", "text/plain", text, "content_id"),
        ] {
            let draft = with(|draft| draft.attachments = vec![file(filename, Some(media), Some(id))]);
            assert_fault(&draft, &format!("/attachments/0/{member}"));
        }
    }
}

/// B31, B34: a name with a line break is refused, wherever it stands.
#[test]
fn no_name_breaks_out_of_its_line() {
    for text in BREAKS {
        for mailbox in [format!("{text} <a@example.com>"), format!("\"{text}\" <a@example.com>")] {
            assert_fault(&with(|draft| draft.from = mailbox.clone()), "/from");
            assert_fault(&with(|draft| draft.to = vec![mailbox.clone()]), "/to/0");
            assert_fault(&with(|draft| draft.cc = vec![mailbox.clone()]), "/cc/0");
            assert_fault(&with(|draft| draft.bcc = vec![mailbox.clone()]), "/bcc/0");
            assert_fault(&with(|draft| draft.reply_to = vec![mailbox.clone()]), "/reply_to/0");
        }
    }
}

/// B43: Unicode recommends isolates, and message libraries put them around whatever they fill in.
#[test]
fn subjects_and_names_may_say_how_they_are_read() {
    for text in [
        "Olá, \u{2068}Ana\u{2069}!",
        "\u{2066}a\u{2067}b\u{2069}\u{2069}\u{2068}\u{2069}",
        "\u{202b}a\u{202c}",
        "\u{200e}\u{200f}\u{61c}a",
    ] {
        assert_accepted(&with(|draft| draft.subject = text.into()));
        for mailbox in
            [format!("\"{text}\" <a@example.com>"), format!("{} <a@example.com>", text.replace(',', ""))]
        {
            assert_accepted(&with(|draft| draft.from = mailbox.clone()));
            assert_accepted(&with(|draft| draft.to = vec![mailbox.clone()]));
            assert_accepted(&with(|draft| draft.reply_to = vec![mailbox.clone()]));
        }
        // What stands in a name must end in it.
        assert_fault(
            &with(|draft| draft.to = vec![format!("\u{2067}{text}, <a@example.com>\u{2069}")]),
            "/to/0",
        );
        assert_fault(&with(|draft| draft.headers = vec![("X-A".into(), text.into())]), "/headers/X-A");
        assert_fault(&with(|draft| draft.to = vec![format!("a{text}@example.com")]), "/to/0");
    }
    for text in ["\u{2069}a\u{2066}", "\u{202a}a\u{2066}b\u{202c}c\u{2069}", "a\u{2069}", "a\u{202c}"] {
        assert_fault(&with(|draft| draft.subject = text.into()), "/subject");
        assert_fault(&with(|draft| draft.to = vec![format!("\"{text}\" <a@example.com>")]), "/to/0");
    }
}

/// B24: bodies may hold anything but NUL.
#[test]
fn bodies_hold_no_nul() {
    assert_fault(&draft().text("a\0b"), "/text");
    assert_fault(&draft().html("a\0b"), "/html");
    assert_accepted(&draft().text("a\u{1}\r\n\n\r\u{202e}").html(""));
}

/// B28
#[test]
fn someone_and_something_must_be_named() {
    assert_fault(&with(|draft| draft.to.clear()), "/to");
    let hidden = with(|draft| draft.bcc = std::mem::take(&mut draft.to));
    assert_fault(&hidden, "/to");
    assert_fault(&with(|draft| draft.text = None), "/text");
    assert_accepted(&with(|draft| (draft.text, draft.html) = (None, Some("<p>".into()))));
    assert_accepted(&with(|draft| draft.subject.clear()));
    assert_fault(&with(|draft| draft.from.clear()), "/from");
}

/// B29
#[test]
fn recipients_are_counted_together() {
    assert_accepted(&with(|draft| draft.to = addresses(50)));
    assert_fault(&with(|draft| draft.to = addresses(51)), "/to");
    assert_fault(&with(|draft| (draft.cc, draft.bcc) = (addresses(25), addresses(25))), "/to");
    assert_fault(&with(|draft| draft.to = addresses(100_000)), "/to");
    assert_accepted(&with(|draft| draft.reply_to = addresses(50)));
    assert_fault(&with(|draft| draft.reply_to = addresses(51)), "/reply_to");
}

#[test]
fn faults_do_not_pile_up() {
    let bad = |count| vec![("\0".to_owned(), "\0".to_owned()); count];
    let draft = with(|draft| {
        draft.to = vec!["nobody".into(); 100_000];
        draft.headers = bad(100_000);
        draft.tags = bad(100_000);
        draft.attachments = vec![file("", None, None); 1000];
    });
    assert!(faults(&draft).len() < 250);
}

/// B32
#[test]
fn header_names_are_plain() {
    for name in
        ["", "X-A\r\nBcc", "X-\0", "X-A:", "X A", "X-Ação", "X-\u{7f}", &format!("X-{}", "a".repeat(75))]
    {
        let found = faults(&with(|draft| draft.headers = vec![(name.into(), "v".into())]));
        assert!(matches!(&found[..], [one] if one.starts_with("/headers/")), "{name:?}: {found:?}");
    }
    assert_accepted(&with(|draft| draft.headers = vec![(format!("X-{}", "a".repeat(74)), "v".into())]));
}

/// B44
#[test]
fn only_harmless_headers_are_allowed() {
    for name in [
        "Bcc",
        "To",
        "Cc",
        "Message-ID",
        "Content-Type",
        "content-disposition",
        "Return-Path",
        "Received",
        "DKIM-Signature",
        "From",
        "SENDER",
        "Date",
        "MIME-Version",
        "Resent-To",
        "Subject",
        "Reply-To",
        "X-",
        "List-",
        "X",
        "Disposition-Notification-To",
    ] {
        assert_fault(
            &with(|draft| draft.headers = vec![(name.into(), "v".into())]),
            &format!("/headers/{name}"),
        );
    }
    for name in [
        "X-A",
        "x-a",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "References",
        "In-Reply-To",
        "Auto-Submitted",
        "Precedence",
        "importance",
        "Feedback-ID",
    ] {
        assert_accepted(&with(|draft| draft.headers = vec![(name.into(), "v".into())]));
    }
}

#[test]
fn headers_are_limited() {
    let named = |n: usize| (format!("X-{n}"), "v".to_owned());
    assert_accepted(&with(|draft| draft.headers = (0..20).map(named).collect()));
    assert_fault(&with(|draft| draft.headers = (0..21).map(named).collect()), "/headers");
    let long = |length| with(|draft| draft.headers = vec![("X-A".into(), "v".repeat(length))]);
    assert_accepted(&long(997));
    assert_fault(&long(998), "/headers/X-A");
    let twice = ["X-A", "x-a"].map(|name| (name.to_owned(), "v".to_owned()));
    assert_fault(&with(|draft| draft.headers = twice.into()), "/headers/x-a");
}

#[test]
fn pointers_escape_what_they_are_made_of() {
    let pointer =
        |name: &str| faults(&with(|draft| draft.headers = vec![(name.into(), "v".into())])).remove(0);
    assert_eq!(pointer("a/b~c"), "/headers/a~1b~0c");
    assert_eq!(pointer(&"é".repeat(100)), format!("/headers/{}", "é".repeat(40)));
}

#[test]
fn subjects_are_limited() {
    assert_accepted(&with(|draft| draft.subject = "s".repeat(998)));
    assert_fault(&with(|draft| draft.subject = "s".repeat(999)), "/subject");
}

/// B42
#[test]
fn utf8_addresses_must_be_asked_for() {
    assert_fault(&with(|draft| draft.to = vec!["josé@example.org".into()]), "/to/0");
    let wanted = with(|draft| (draft.to, draft.smtputf8) = (vec!["josé@example.org".into()], true));
    let message = wanted.check(&Limits::default(), NOW).expect("accepted");
    assert!(message.needs_smtputf8());
    assert!(!draft().check(&Limits::default(), NOW).expect("accepted").needs_smtputf8());
}

/// B45
#[test]
fn blind_copies_are_in_the_envelope() {
    let draft = with(|draft| {
        draft.cc = vec!["Rui <rui@example.net>".into(), "ana@example.org".into()];
        draft.bcc = vec!["eva@example.net".into()];
    });
    let message = draft.check(&Limits::default(), NOW).expect("accepted");
    let envelope: Vec<String> = message.envelope().iter().map(ToString::to_string).collect();
    assert_eq!(envelope, ["ana@example.org", "rui@example.net", "eva@example.net"], "each once");
}

/// B49
#[test]
fn attachments_are_limited() {
    let some = |count| with(|draft| draft.attachments = vec![file("a.txt", None, None); count]);
    assert_accepted(&some(20));
    assert_fault(&some(21), "/attachments");
    let room = (10 << 20) - "It is on its way.".len();
    let large = |octets| draft().attach("a.bin", "application/octet-stream", vec![0; octets]);
    assert_accepted(&large(room));
    assert_fault(&large(room + 1), "");
    assert_fault(&draft().text("t".repeat(6 << 20)).html("h".repeat(5 << 20)), "");
}

/// B51
#[test]
fn attachments_have_harmless_types() {
    for media in [
        "",
        "text",
        "text/",
        "/plain",
        "text/html\r\nX: y",
        "multipart/mixed",
        "Multipart/Mixed",
        "message/rfc822",
        "MESSAGE/partial",
        "text/plain; charset",
        "text/plain; name=\"é\"",
        "a b/c",
        " multipart/mixed",
    ] {
        let draft = with(|draft| draft.attachments = vec![file("a.txt", Some(media), None)]);
        assert_fault(&draft, "/attachments/0/content_type");
    }
    for media in [
        "text/plain",
        "TEXT/Plain; charset=\"utf-8\"",
        "application/vnd.oasis.opendocument.text",
        "image/svg+xml",
    ] {
        assert_accepted(&with(|draft| draft.attachments = vec![file("a.txt", Some(media), None)]));
    }
}

#[test]
fn attachments_have_plain_names() {
    for name in ["", "/etc/passwd", "..\\a", "a/b", &"a".repeat(256), "a\u{202e}fdp.exe"] {
        let draft =
            with(|draft| draft.attachments = vec![file("ok.txt", None, None), file(name, None, None)]);
        assert_fault(&draft, "/attachments/1/filename");
    }
    for id in ["", "a b", "<a>", "é", &"a".repeat(129)] {
        assert_fault(
            &with(|draft| draft.attachments = vec![file("a", None, Some(id))]),
            "/attachments/0/content_id",
        );
    }
    assert_accepted(&with(|draft| {
        draft.attachments = vec![file("relatório 1.pdf", None, Some("logo_1@a.b"))]
    }));
    let message =
        with(|draft| draft.attachments = vec![file("a", None, None)]).check(&Limits::default(), NOW);
    assert_eq!(message.expect("accepted").attachments[0].content_type, "application/octet-stream");
}

#[test]
fn tags_are_words() {
    for word in ["", "a b", "é", "a.b", &"a".repeat(257)] {
        assert_fault(
            &with(|draft| draft.tags = vec![("ok".into(), "ok".into()), ("n".into(), word.into())]),
            "/tags/1/value",
        );
        assert_fault(&with(|draft| draft.tags = vec![(word.into(), "v".into())]), "/tags/0/name");
    }
    let some = |count| with(|draft| draft.tags = vec![("Aa-_9".into(), "a".repeat(256)); count]);
    assert_accepted(&some(50));
    assert_fault(&some(51), "/tags");
}

#[test]
fn idempotency_keys_are_printable() {
    for key in ["", "é", &"k".repeat(257)] {
        assert_fault(&draft().idempotency_key(key), "/idempotency_key");
    }
    assert_accepted(&draft().idempotency_key("order 1/a ~"));
    assert_accepted(&draft().idempotency_key("k".repeat(256)));
}

/// B52.
#[test]
fn times_lie_within_a_month() {
    for offset in [Duration::seconds(-61), -Duration::days(1), Duration::days(30) + Duration::SECOND] {
        assert_fault(&draft().at(NOW + offset), "/scheduled_at");
    }
    assert_fault(&draft().at(datetime!(9999-12-31 23:59:59 UTC)), "/scheduled_at");
    let scheduled =
        |offset| draft().at(NOW + offset).check(&Limits::default(), NOW).expect("accepted").scheduled_at;
    assert_eq!(scheduled(Duration::seconds(-60)), None, "a minute ago is now");
    assert_eq!(scheduled(Duration::ZERO), None);
    assert_eq!(scheduled(Duration::SECOND), Some(NOW + Duration::SECOND));
    assert_eq!(scheduled(Duration::days(30)), Some(NOW + Duration::days(30)));
}

#[test]
fn all_faults_are_named_at_once() {
    let draft = with(|draft| {
        draft.from = "nobody".into();
        draft.to = vec!["ana@example.org".into(), "@".into()];
        draft.subject = "a\nb".into();
        draft.tags = vec![("a".into(), String::new())];
        draft.attachments = vec![file("/", None, None)];
    });
    let mut found = faults(&draft);
    found.sort();
    assert_eq!(found, ["/attachments/0/filename", "/from", "/subject", "/tags/0/value", "/to/1"]);
}

#[test]
fn limits_can_be_set() {
    let limits = Limits { recipients: 1, attachments: 0, headers: 0, content: 20, ahead: Duration::HOUR };
    assert!(draft().check(&limits, NOW).is_ok());
    let over = with(|draft| {
        draft.cc = addresses(1);
        draft.attachments = vec![file("a", None, None)];
        draft.headers = vec![("X-A".into(), "v".into())];
        draft.scheduled_at = Some((NOW + Duration::HOUR + Duration::SECOND).into());
    });
    let found = over.check(&limits, NOW).expect_err("over every limit").faults;
    assert_eq!(found.len(), 5, "{found:?}");
}

fn anything() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        2 => ".{0,12}".prop_map(|text| text),
        2 => "[a-z0-9.]{1,8}",
        1 => proptest::sample::select(vec!["@", "<", ">", "\"", "\\", ".", " ", "\r\n", "\0", "é", "\u{202e}", "=?", ".com", "xn--"])
            .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]


    #[test]
    fn no_draft_is_too_odd_to_check(
        lists in prop::collection::vec(prop::collection::vec(anything(), 0..3), 4),
        texts in prop::collection::vec(anything(), 8),
        pairs in prop::collection::vec((anything(), anything()), 0..4),
        at in prop::option::of(any::<i32>()),
        some in any::<bool>(),
    ) {
        let draft = Draft {
            from: texts[0].clone(),
            to: lists[0].clone(),
            cc: lists[1].clone(),
            bcc: lists[2].clone(),
            reply_to: lists[3].clone(),
            subject: texts[1].clone(),
            text: Some(texts[2].clone()).filter(|_| some),
            html: Some(texts[3].clone()).filter(|_| !some),
            headers: pairs.clone(),
            attachments: vec![file(&texts[4], Some(&texts[5]), Some(&texts[6]))],
            tags: pairs,
            scheduled_at: at.map(|seconds| (NOW + Duration::seconds(seconds.into())).into()),
            idempotency_key: Some(texts[7].clone()),
            text_of_html: None,
            ..Draft::default()
        };
        let _ = draft.check(&Limits::default(), NOW);
        prop_assert_eq!(draft.fingerprint(), draft.clone().fingerprint());
    }
}
