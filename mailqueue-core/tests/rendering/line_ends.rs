//! Texts of many lines: how their ends are written, and that this says nothing else about them.

use lettre::message::SinglePart;
use memchr::memmem;
use proptest::prelude::*;

use crate::{assert_well_formed, draft, rendered};

const LAST_OF_THE_HEAD: &[u8] = b"\r\nMIME-Version: 1.0\r\n";

/// What follows the head of a message that is text alone: the fields of the part, and the part.
fn part(text: &str) -> Vec<u8> {
    let raw = rendered(&draft().text(text));
    assert_well_formed(&raw);
    let at = memmem::find(&raw, LAST_OF_THE_HEAD).expect("the last field of the message");
    raw[at + LAST_OF_THE_HEAD.len()..].to_vec()
}

/// Texts whose lines end in LF, many as long as decides on their encoding.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => "[a-zà-ö \t=.]{0,12}",
        3 => "[ -~]{73,77}",
        1 => Just("é".to_owned()),
        2 => Just(String::new()),
    ];
    prop::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_is_written_as_lettre_writes_it(text in lines()) {
        let expected = SinglePart::plain(text.clone()).formatted();
        let expected = String::from_utf8_lossy(&expected).into_owned();
        prop_assert_eq!(String::from_utf8_lossy(&part(&text)).into_owned(), expected);
    }

    #[test]
    fn it_does_not_matter_how_lines_end(text in lines()) {
        let expected = part(&text);
        prop_assert_eq!(&part(&text.replace('\n', "\r\n")), &expected);
        prop_assert_eq!(&part(&text.replace('\n', "\r")), &expected);
    }
}
