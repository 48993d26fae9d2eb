//! Drafts that are made up, in three families. *Tame* ones hold what people write and must come out as they went in.
//! *Wild* ones hold what an attacker would try as well; whatever of that is accepted must still be a well-formed
//! message. *Hostile* ones are either, with what a line, a dot or a server could be tripped up by.

use bytes::Bytes;
use mailqueue_core::Draft;
use mailqueue_core::domain::attachment::AttachmentDraft;
use proptest::prelude::*;
use proptest::string::{RegexGeneratorStrategy, string_regex};

/// Text of a pattern, which is read once: a bare string would be read anew for every text, which takes longer than all
/// the rest.
fn like(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).expect("a pattern")
}

// What people write.

fn phrase() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => like("[a-zA-Z0-9]{1,12}"),
        3 => Just(" ".to_owned()),
        1 => Just("  ".to_owned()),
        2 => like("[ -~]{1,20}"),
        2 => like("[\\p{L}\\p{N}\\p{S}\\p{P}]{1,12}"),
        1 => like("[a-z]{60,140}"),
        1 => Just("=?utf-8?q?=0D=0ABcc:_eve@example.com?=".to_owned()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn address() -> impl Strategy<Value = String> {
    // The parser read with knows no brackets in a quoted local part, so they have no place here.
    let local = prop_oneof![
        4 => like("[a-z0-9]{1,20}"),
        1 => like("[a-z]{1,5}\\.[a-z+_=]{1,20}"),
        1 => like("\"[a-z ,;:@]{1,10}\""),
    ];
    (local, like("[a-z0-9]{1,30}(\\.[a-z0-9]{1,30}){0,2}\\.(com|org|pt)"))
        .prop_map(|(local, domain)| format!("{local}@{domain}"))
}

fn mailbox() -> impl Strategy<Value = String> {
    let quoted = |name: String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    prop_oneof![
        1 => address(),
        2 => (phrase(), address()).prop_map(move |(name, address)| {
            let name: String = name.chars().take(70).collect();
            format!("{} <{address}>", quoted(name))
        }),
    ]
}

fn header() -> impl Strategy<Value = (String, String)> {
    (like("X-[A-Za-z]{1,20}"), phrase())
}

fn body() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => like("[ -~]{0,60}"),
        1 => like("[ -~]{70,80}"),
        1 => like("[ -~]{990,1010}"),
        1 => like("[\\p{L} .,]{0,90}"),
        1 => Just(".".to_owned()),
        1 => like("[a-z]{0,5}[ \t]{1,3}"),
    ];
    let end = prop_oneof![3 => Just("\n"), 3 => Just("\r\n"), 1 => Just("\r"), 1 => Just("\n\n")];
    prop::collection::vec((line, end), 0..8)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

fn file() -> impl Strategy<Value = AttachmentDraft> {
    let name = prop_oneof![
        3 => like("[a-z]{1,8}\\.[a-z]{3}"),
        1 => like("[a-z \"';=]{90,200}x"),
        1 => like("[\\p{L} ]{1,40}x"),
    ];
    let media = prop::option::of(prop_oneof![Just("text/plain"), Just("image/png"), Just("text/html")]);
    let content = prop_oneof![prop::collection::vec(any::<u8>(), 0..200), Just(b"a\nb\r\nc\rd".to_vec())];
    let id = prop::option::of(like("[a-z]{1,10}(@[a-z.]{1,10})?"));
    (name, media, id, content).prop_map(|(filename, media, content_id, content)| AttachmentDraft {
        filename,
        content_type: media.map(str::to_owned),
        content_id,
        content: Bytes::from(content),
    })
}

prop_compose! {
    pub(crate) fn tame()(
        from in mailbox(),
        to in prop::collection::vec(mailbox(), 1..5),
        cc in prop::collection::vec(mailbox(), 0..3),
        bcc in prop::collection::vec(like("hidden-[a-z]{3}@example\\.net"), 0..3),
        reply_to in prop::collection::vec(mailbox(), 0..2),
        subject in phrase(),
        bodies in prop_oneof![
            body().prop_map(|text| (Some(text), None)),
            body().prop_map(|html| (None, Some(html))),
            (body(), body()).prop_map(|(text, html)| (Some(text), Some(html))),
        ],
        headers in prop::collection::vec(header(), 0..3),
        attachments in prop::collection::vec(file(), 0..3),
    ) -> Draft {
        let (text, html) = bodies;
        let mut headers: Vec<(String, String)> = headers;
        headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        headers.dedup_by_key(|(name, _)| name.to_ascii_lowercase());
        Draft { from, to, cc, bcc, reply_to, subject, text, html, headers, attachments, ..Draft::default() }
    }
}

// What an attacker would try.

fn attack() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => like("[ -~]{0,20}").prop_map(|text| text),
        2 => Just("\r\nBcc: eve@example.com\r\n\r\n".to_owned()),
        1 => Just("\n.\n".to_owned()),
        1 => Just("\r".to_owned()),
        1 => Just("\0".to_owned()),
        1 => Just("\u{2028}X: y\u{85}".to_owned()),
        1 => Just("\"; filename=\"a".to_owned()),
        1 => Just("> <eve@example.com>, ".to_owned()),
        1 => Just("=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?=".to_owned()),
        1 => like(".{0,10}"),
    ];
    prop_oneof![
        2 => phrase(),
        1 => prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat()),
    ]
}

prop_compose! {
    pub(crate) fn wild()(
        tame in tame(),
        subject in attack(),
        name in attack(),
        field in prop_oneof![
            3 => prop::sample::select(vec!["X-Wild", "List-Unsubscribe", "References"]).prop_map(str::to_owned),
            1 => attack(),
        ],
        value in attack(),
        filename in attack(),
        media in prop_oneof![
            3 => Just("text/plain".to_owned()),
            1 => attack().prop_map(|text| format!("text/plain; name=\"{text}\"")),
            1 => attack(),
        ],
        content_id in prop::option::of(attack()),
        text in attack(),
        which in 0..32_u8,
    ) -> Draft {
        let mut draft = tame;
        // Each of them alone and together with others: together they would nearly always be refused.
        if which & 1 != 0 { draft.subject = subject; }
        if which & 2 != 0 { draft.to.push(format!("{name} <wild@example.com>")); }
        if which & 4 != 0 { draft.headers = vec![(field, value)]; }
        if which & 8 != 0 {
            let content = Bytes::from_static(b"content");
            draft.attachments.push(AttachmentDraft { filename, content_type: Some(media), content_id, content });
        }
        if which & 16 != 0 { draft.text = Some(text); }
        draft
    }
}

// What could go wrong on the way.

/// The local part of everyone who gets a blind copy begins with this, and nothing else holds it.
pub(crate) const HIDDEN: &str = "hidden-";

/// Text that would end its message early, or be longer than a line, if it were sent as it is.
fn trap() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => like("\\.{1,3}"),
        2 => like("\\.[a-z]{0,70}"),
        1 => like("\\.[a-z =.]{72,78}"),
        1 => like("\\.[a-z]{990,1005}"),
        1 => Just(".".repeat(3000)),
        1 => Just("MAIL FROM:<eve@example.com>".to_owned()),
        1 => Just("Bcc: eve@example.com".to_owned()),
        1 => Just("é.".to_owned()),
        1 => Just(String::new()),
    ];
    let end =
        prop_oneof![3 => Just("\r\n"), 2 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n"), 1 => Just("")];
    prop::collection::vec((line, end), 1..6)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

/// Longer than what the transport hands over at once, and with a dot wherever that may be cut.
fn flood() -> impl Strategy<Value = String> {
    (prop::sample::select(vec![".\n", "..\r\n", ".x\r"]), 16_000..40_000_usize, like("[a-z]{0,5}"))
        .prop_map(|(line, times, rest)| line.repeat(times) + &rest)
}

prop_compose! {
    pub(crate) fn hostile()(
        draft in prop_oneof![tame(), wild()],
        bcc in prop::collection::vec((prop::sample::select(vec!["", "Hidden ", "\"A, B\" "]), like("[a-z]{4}")), 0..3),
        text in prop_oneof![100 => trap(), 1 => flood()],
        html in trap(),
        abroad in like("[a-zà-ö]{1,8}"),
        content in (0..=255_u8, 60_000..200_000_usize),
        which in 0..8_u8,
        rarely in 0..100_u8,
    ) -> Draft {
        let mut draft = draft;
        draft.bcc.extend(bcc.into_iter().map(|(name, word)| format!("{name}<{HIDDEN}{word}@example.net>")));
        if which & 3 != 0 { draft.text = Some(text); }
        if which & 4 != 0 { draft.html = Some(html); }
        if rarely < 8 {
            draft.smtputf8 = true;
            draft.to.push(format!("{abroad}@example.org"));
        }
        if rarely == 99 {
            let (octet, times) = content;
            draft = draft.attach("large.bin", "application/octet-stream", vec![octet; times]);
        }
        draft
    }
}
