//! Text and HTML are read back out of the rendered message as they were submitted.

use mailqueue_core::domain::rendered_text::{Bodies, bodies, line_ends};
use mailqueue_core::{Draft, Limits};
use proptest::prelude::*;

use crate::drafts::{hostile, tame, wild};
use crate::{NOW, draft, rendered};

fn assert_reads_back(draft: &Draft) {
    if let Ok(message) = draft.check(&Limits::default(), NOW) {
        let ends = line_ends(&message);
        let expected = Bodies { text: message.text, html: message.html };
        assert_eq!(bodies(&rendered(draft), ends.as_deref()), Some(expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_people_write_reads_back(draft in tame()) {
        assert_reads_back(&draft);
    }

    #[test]
    fn what_an_attacker_writes_reads_back(draft in wild()) {
        assert_reads_back(&draft);
    }

    #[test]
    fn any_characters_read_back(text in ".{0,200}", html in "[\r\n =.\u{85}\u{2028}é-]{0,200}") {
        assert_reads_back(&draft().text(text).html(html));
    }

    #[test]
    fn nothing_panics_on_what_is_no_message(octets in prop::collection::vec(any::<u8>(), 0..300), ends in ".{0,9}") {
        let _ = bodies(&octets, Some(&ends));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_could_go_wrong_on_the_way_reads_back(draft in hostile()) {
        assert_reads_back(&draft);
    }
}

#[test]
fn a_text_of_ten_mebibytes_reads_back() {
    for line in ["a line that ends\r\n", "é", "\n\r"] {
        assert_reads_back(&draft().text(line.repeat((10 << 20) / line.len())));
    }
}

#[test]
fn a_message_cut_anywhere_is_not_read_wrongly() {
    let draft = draft().text("é one\n").html("<p>two\n").attach("a.pdf", "application/pdf", &b"pdf"[..]);
    let raw = rendered(&draft);
    let whole = Bodies { text: draft.text, html: draft.html };
    for end in 0..raw.len() {
        let read = bodies(&raw[..end], None);
        assert!(read.is_none() || read.as_ref() == Some(&whole), "cut at {end}: {read:?}");
    }
}
