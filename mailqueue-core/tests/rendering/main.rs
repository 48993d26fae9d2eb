//! What a message looks like: drafts are checked, rendered and read back with another program's parser, or sent and
//! looked at as the octets that went over the wire.

mod bodies;
mod drafts;
mod encoded_words;
mod lettre_parts;
mod line_ends;
mod octets;
mod wire;

use bytes::Bytes;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::{Addr, HeaderForm, HeaderName, Message, MessageParser, MimeHeaders};
use mailqueue_core::domain::attachment::AttachmentDraft;
use mailqueue_core::domain::render::render;
use mailqueue_core::{Draft, Limits, MessageId};
use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::drafts::{tame, wild};

const NOW: OffsetDateTime = datetime!(2026-03-01 12:34:56.789 UTC);

fn id() -> MessageId {
    "0195f0a0-0000-7000-8000-000000000001".parse().expect("an id")
}

/// The bytes of a draft that must be acceptable.
fn rendered(draft: &Draft) -> Vec<u8> {
    let message = draft.check(&Limits::default(), NOW).expect("this draft is acceptable");
    render(&message, id(), NOW).expect("what is accepted can be rendered").to_vec()
}

fn parsed(raw: &[u8]) -> Message<'_> {
    MessageParser::default().parse(raw).expect("a message")
}

fn draft() -> Draft {
    Draft::new("Shop <shop@example.com>", "Ana <ana@example.org>", "Your order").text("It is on its way.")
}

/// The unfolded header fields before the first empty line, names in lower case.
fn fields(raw: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(raw);
    let head = text.split_once("\r\n\r\n").map_or(&*text, |(head, _)| head);
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", "\t");
    let field = |line: &str| {
        let (name, value) = line.split_once(':').expect("every line of the head is a field");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    unfolded.split("\r\n").map(field).collect()
}

fn field(raw: &[u8], name: &str) -> String {
    let mut found = fields(raw).into_iter().filter(|(given, _)| given == name);
    let (_, value) = found.next().unwrap_or_else(|| panic!("there is a field {name}"));
    assert!(found.next().is_none(), "{name} is there once");
    value
}

/// What RFC 5321 and RFC 5322 ask of every message that is sent without SMTPUTF8 and 8BITMIME.
fn assert_well_formed(raw: &[u8]) {
    assert!(raw.is_ascii(), "7-bit only");
    assert!(!raw.contains(&0), "no NUL");
    assert!(raw.ends_with(b"\r\n"), "the last line ends");
    let text = std::str::from_utf8(raw).expect("ASCII");
    for line in text.split("\r\n") {
        assert!(!line.contains(['\r', '\n']), "only CRLF ends lines: {line:?}");
        assert!(line.len() <= 998, "a line of {} octets", line.len());
    }
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    assert!(head.split("\r\n").all(|line| !line.trim().is_empty()), "no line of white space in the head");
}

/// The names a draft's message may carry, and how often: nothing a string in it could add.
fn expected_names(draft: &Draft) -> Vec<String> {
    let mut names: Vec<String> =
        ["from", "to", "subject", "message-id", "date", "mime-version", "content-type"]
            .map(str::to_owned)
            .into();
    let several = [("cc", &draft.cc), ("reply-to", &draft.reply_to)];
    names.extend(several.into_iter().filter(|(_, all)| !all.is_empty()).map(|(name, _)| name.to_owned()));
    names.extend(draft.headers.iter().map(|(name, _)| name.to_ascii_lowercase()));
    names.sort();
    names
}

fn assert_nothing_added(draft: &Draft, raw: &[u8]) {
    let mut names: Vec<String> = fields(raw).into_iter().map(|(name, _)| name).collect();
    names.retain(|name| name != "content-transfer-encoding");
    names.sort();
    assert_eq!(names, expected_names(draft));
}

/// Text with its line ends made one kind and without those at its end.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned()
}

/// A name and an address as given, whatever white space a parser makes of theirs.
fn people(texts: &[String]) -> Vec<(String, String)> {
    let person = |text: &String| {
        let (name, address) = text.rsplit_once('<').unwrap_or(("", text));
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
        let name = name.replace("\\\"", "\"").replace("\\\\", "\\");
        (words(&name), address.trim_end_matches('>').to_owned())
    };
    texts.iter().map(person).collect()
}

fn parsed_people(addresses: Option<&mail_parser::Address<'_>>) -> Vec<(String, String)> {
    let person = |addr: &Addr<'_>| {
        (words(addr.name().unwrap_or_default()), addr.address().unwrap_or_default().to_owned())
    };
    addresses.into_iter().flat_map(|list| list.iter().map(person)).collect()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every file of a message: name, media type, Content-ID, and the octets that its base64 stands for.
fn files(message: &Message<'_>) -> Vec<(String, String, Option<String>, Vec<u8>)> {
    let file = |part: &mail_parser::MessagePart<'_>| {
        let name = part.attachment_name()?.to_owned();
        let content_type = part.content_type().expect("a media type");
        let media = format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap_or_default());
        let body = &message.raw_message[part.offset_body as usize..part.offset_end as usize];
        let octets = base64_decode(body).expect("base64");
        Some((name, media, part.content_id().map(str::to_owned), octets))
    };
    message.parts.iter().filter_map(file).collect()
}

/// The files of a draft in the order in which the message carries them.
fn given_files(draft: &Draft) -> Vec<(String, String, Option<String>, Vec<u8>)> {
    let is_inline = |file: &&AttachmentDraft| file.content_id.is_some() && draft.html.is_some();
    let (inline, others): (Vec<_>, Vec<_>) = draft.attachments.iter().partition(is_inline);
    let file = |file: &AttachmentDraft, id: Option<String>| {
        let media = file.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
        (file.filename.clone(), media, id, file.content.to_vec())
    };
    let inline = inline.into_iter().map(|one| file(one, one.content_id.clone()));
    inline.chain(others.into_iter().map(|one| file(one, None))).collect()
}

/// Everything that was given is there, and equal.
fn assert_comes_out(draft: &Draft, raw: &[u8]) {
    let message = parsed(raw);
    assert_eq!(words(message.subject().unwrap_or_default()), words(&draft.subject));
    assert_eq!(parsed_people(message.from()), people(std::slice::from_ref(&draft.from)));
    assert_eq!(parsed_people(message.to()), people(&draft.to));
    assert_eq!(parsed_people(message.cc()), people(&draft.cc));
    assert_eq!(parsed_people(message.reply_to()), people(&draft.reply_to));
    assert!(message.bcc().is_none());
    for (name, value) in &draft.headers {
        let read = message.header_as(HeaderName::Other(name.into()), HeaderForm::Text);
        let read = read.first().and_then(|value| value.as_text()).unwrap_or_default();
        assert_eq!(words(read), words(value), "{name}");
    }
    if let Some(text) = &draft.text {
        assert_eq!(lines(&message.body_text(0).expect("a text part")), lines(text));
    }
    if let Some(html) = &draft.html {
        assert_eq!(lines(&message.body_html(0).expect("an HTML part")), lines(html));
    }
    assert_eq!(files(&message), given_files(draft));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn comes_out_as_it_went_in(draft in tame()) {
        let raw = rendered(&draft);
        assert_well_formed(&raw);
        assert_nothing_added(&draft, &raw);
        assert_comes_out(&draft, &raw);
        prop_assert!(draft.bcc.iter().all(|bcc| !String::from_utf8_lossy(&raw).contains(bcc)));
    }

    #[test]
    fn is_well_formed_whatever_is_accepted(draft in wild()) {
        if let Ok(message) = draft.check(&Limits::default(), NOW) {
            let raw = render(&message, id(), NOW).expect("what is accepted can be rendered");
            assert_well_formed(&raw);
            assert_nothing_added(&draft, &raw);
            let read = parsed(&raw);
            prop_assert_eq!(read.attachments().count() >= draft.attachments.len(), true);
            prop_assert!(read.bcc().is_none());
        }
    }
}

#[test]
fn writes_the_fields_a_message_must_have() {
    let raw = rendered(&draft());
    assert_well_formed(&raw);
    assert_eq!(field(&raw, "message-id"), "<0195f0a0-0000-7000-8000-000000000001@example.com>");
    assert_eq!(field(&raw, "date"), "Sun, 01 Mar 2026 12:34:56 +0000");
    assert_eq!(field(&raw, "mime-version"), "1.0");
    assert_eq!(field(&raw, "subject"), "Your order");
}

#[test]
fn tells_a_date_in_universal_time() {
    let message = draft().check(&Limits::default(), NOW).expect("this draft is acceptable");
    let raw = render(&message, id(), datetime!(2026-03-01 01:30 +05:30)).expect("a message");
    assert_eq!(field(&raw, "date"), "Sat, 28 Feb 2026 20:00:00 +0000");
}

#[test]
fn keeps_every_recipient_whatever_the_name_before_looks_like() {
    let names = [
        "\"Silva, Ana\"",
        "\"Ana (Porto)\"",
        "\"a@b.example\"",
        "\"<x>\"",
        "João",
        "\"J. \\\"Jo\\\" São\"",
        "\"C:\\\\x\"",
        "9",
        "\"=?x?=\"",
    ];
    let mut draft = draft();
    draft.to = (0..).zip(names).map(|(n, name)| format!("{name} <r{n}@example.org>")).collect();
    draft.cc = vec!["\"a b\"@example.org".into(), "\"c@d\"@example.org".into(), "plain@example.org".into()];
    let raw = rendered(&draft);
    assert_well_formed(&raw);
    assert_comes_out(&draft, &raw);
}

#[test]
fn is_from_whom_the_draft_says() {
    for from in
        ["\"Silva, Ana\" <ana@example.com>", "\"a b\"@example.com", "Ana | Loja ✓ <o'hara+x@example.com>"]
    {
        let draft = Draft { from: from.to_owned(), ..draft() };
        assert_comes_out(&draft, &rendered(&draft));
    }
}

#[test]
fn folds_long_lists_of_recipients() {
    let long = |n| format!("{}{n}@{}.example.com", "r".repeat(50), "d".repeat(60));
    let mut draft = draft();
    draft.to = (0..50).map(long).collect();
    let raw = rendered(&draft);
    assert_well_formed(&raw);
    assert_comes_out(&draft, &raw);
}

#[test]
fn folds_long_values() {
    let mut draft = draft();
    draft.subject = "s".repeat(998);
    draft.headers = vec![("X-Long".into(), "v".repeat(997)), ("X-Words".into(), "word ".repeat(190) + "end")];
    let raw = rendered(&draft);
    assert_well_formed(&raw);
    assert_comes_out(&draft, &raw);
}

#[test]
fn keeps_the_spaces_of_a_subject() {
    for subject in [" first", "last ", "a  b", "  ", "á  b", "a á  é b", &format!("{}x", " ".repeat(900))]
    {
        let draft = Draft { subject: subject.to_owned(), ..draft() };
        let raw = rendered(&draft);
        assert_well_formed(&raw);
        assert_eq!(parsed(&raw).subject().unwrap_or_default(), subject);
    }
}

#[test]
fn shows_encoded_words_as_they_were_typed() {
    let typed = "=?utf-8?q?=0D=0ABcc:_eve@example.com?=";
    let mut draft = Draft { subject: typed.to_owned(), ..draft() };
    draft.to = vec![format!("\"{typed}\" <ana@example.org>")];
    let raw = rendered(&draft);
    let read = parsed(&raw);
    assert_eq!(read.subject(), Some(typed));
    assert_eq!(parsed_people(read.to()), [(typed.to_owned(), "ana@example.org".to_owned())]);
}

#[test]
fn writes_structured_headers_so_that_machines_read_them() {
    let references = (0..12).map(|n| format!("<{n}{}@example.com>", "x".repeat(60))).collect::<Vec<_>>();
    let unsubscribe =
        format!("<https://example.com/u?t={}>, <mailto:u@example.com?subject=?>", "t".repeat(300));
    let mut draft = draft();
    draft.headers = vec![
        ("References".into(), references.join(" ")),
        ("List-Unsubscribe".into(), unsubscribe.clone()),
        ("List-Id".into(), "Notícias <news.example.com>".into()),
    ];
    let raw = rendered(&draft);
    assert_well_formed(&raw);
    assert_eq!(field(&raw, "references"), references.join(" "));
    assert_eq!(field(&raw, "list-unsubscribe"), unsubscribe);
    assert!(field(&raw, "list-id").ends_with(" <news.example.com>"), "only the name is encoded");
}

#[test]
fn names_nobody_who_gets_a_blind_copy() {
    let mut draft = draft();
    draft.bcc = vec!["Hidden <hidden@example.net>".into()];
    let message = draft.check(&Limits::default(), NOW).expect("this draft is acceptable");
    assert!(message.envelope().iter().any(|address| address.as_str() == "hidden@example.net"));
    let raw = String::from_utf8(rendered(&draft)).expect("ASCII").to_ascii_lowercase();
    assert!(!raw.contains("hidden") && !raw.contains("bcc"));
}

#[test]
fn ends_no_line_with_a_bare_carriage_return() {
    for text in ["a\rb", "a\r\r\nb", "\r", "a\r.\r\nb", "é\rb", "a\n\rb"] {
        let draft = draft().text(text).html(text);
        let raw = rendered(&draft);
        assert_well_formed(&raw);
        assert_comes_out(&draft, &raw);
    }
}

/// The media types of a message's parts, in order, those of files left out.
fn shape(draft: &Draft) -> Vec<String> {
    let raw = rendered(draft);
    let message = parsed(&raw);
    let media = |part: &mail_parser::MessagePart<'_>| {
        let content_type = part.content_type().expect("a media type");
        format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap_or_default())
    };
    message.parts.iter().map(media).collect()
}

#[test]
fn nests_parts_as_mail_programs_expect() {
    let text = Draft { text: Some("t".into()), ..Draft::new("a@example.com", "b@example.org", "s") };
    let html = Draft { text: None, ..text.clone() }.html("<p>h</p>");
    let both = text.clone().html("<p>h</p>");
    let logo = |mut draft: Draft| {
        draft = draft.attach("logo.png", "image/png", &b"png"[..]);
        draft.attachments[0].content_id = Some("logo".into());
        draft
    };
    let pdf = |draft: Draft| draft.attach("a.pdf", "application/pdf", &b"pdf"[..]);
    assert_eq!(shape(&text), ["text/plain"]);
    assert_eq!(shape(&html), ["text/html"]);
    assert_eq!(shape(&both), ["multipart/alternative", "text/plain", "text/html"]);
    assert_eq!(shape(&pdf(text.clone())), ["multipart/mixed", "text/plain", "application/pdf"]);
    assert_eq!(shape(&logo(html.clone())), ["multipart/related", "text/html", "image/png"]);
    assert_eq!(shape(&logo(text)), ["multipart/mixed", "text/plain", "image/png"]);
    let all = ["multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html"];
    assert_eq!(shape(&pdf(logo(both)))[..5], all);
}

#[test]
fn carries_files_to_the_octet() {
    let every: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let draft = draft()
        .attach("every.bin", "application/octet-stream", every)
        .attach("lines.txt", "text/plain", &b"a\nb\r\nc\rd\n"[..])
        .attach("relatório de março.pdf", "application/pdf", Bytes::new())
        .attach("a\"b;c.txt", "text/plain; charset=utf-8", &b"x"[..]);
    let raw = rendered(&draft);
    assert_well_formed(&raw);
    let read = files(&parsed(&raw));
    let given = draft.attachments.iter().map(|file| (file.filename.clone(), file.content.to_vec()));
    assert_eq!(
        read.into_iter().map(|(name, _, _, octets)| (name, octets)).collect::<Vec<_>>(),
        given.collect::<Vec<_>>()
    );
}

#[test]
fn writes_utf8_addresses_only_when_they_are_wanted() {
    let mut draft = draft();
    draft.to = vec!["José <josé@example.org>".into()];
    assert!(draft.check(&Limits::default(), NOW).is_err());
    draft.smtputf8 = true;
    let raw = rendered(&draft);
    assert!(String::from_utf8(raw.clone()).expect("UTF-8").contains("<josé@example.org>"));
    assert_eq!(parsed_people(parsed(&raw).to()), [("José".to_owned(), "josé@example.org".to_owned())]);
}
