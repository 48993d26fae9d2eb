//! Text parts are written here without lettre's builder: the octets are those that lettre gives.

use lettre::message::SinglePart;
use mailqueue_core::Draft;
use proptest::prelude::*;

use crate::{draft, rendered};

/// The octets behind the head of a message.
fn behind_head(raw: &[u8]) -> &[u8] {
    const LAST: &[u8] = b"MIME-Version: 1.0\r\n";
    let at = raw.windows(LAST.len()).position(|octets| octets == LAST);
    &raw[at.expect("every message has this field") + LAST.len()..]
}

/// A text as lettre takes it: a bare CR is a line end for us.
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Plain text, text of other letters, long lines, and line ends of all kinds.
fn body() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,90}",
        "[a-zA-Z ,.]{0,300}",
        "\\PC{0,30}",
        "[áéíçãõ ]{0,40}",
        Just("x".repeat(1000)),
        Just(" \t".to_owned())
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("")];
    prop::collection::vec((piece, end), 0..6)
        .prop_map(|pieces| pieces.into_iter().map(|(piece, end)| piece + end).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_is_written_as_lettre_writes_it(text in body()) {
        let raw = rendered(&draft().text(text.clone()));
        prop_assert_eq!(behind_head(&raw), SinglePart::plain(unix_lines(&text)).formatted());
    }

    #[test]
    fn html_is_written_as_lettre_writes_it(html in body()) {
        let raw = rendered(&Draft { text: None, ..draft() }.html(html.clone()));
        prop_assert_eq!(behind_head(&raw), SinglePart::html(unix_lines(&html)).formatted());
    }

    #[test]
    fn alternatives_are_written_as_lettre_writes_them(text in body(), html in body()) {
        let raw = rendered(&draft().text(text.clone()).html(html.clone()));
        let parts = [SinglePart::plain(unix_lines(&text)), SinglePart::html(unix_lines(&html))];
        let [text, html] = parts.map(|part| part.formatted());
        let body = behind_head(&raw);
        let start = body.windows(text.len()).position(|octets| octets == text);
        let start = start.expect("the text is there") + text.len();
        prop_assert!(body[start..].windows(html.len()).any(|octets| octets == html));
    }
}
