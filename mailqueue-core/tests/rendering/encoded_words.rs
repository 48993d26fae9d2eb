//! Fields with letters beyond ASCII, which are written in encoded words (RFC 2047).

use mail_parser::{HeaderForm, HeaderName};
use mailqueue_core::Draft;
use proptest::prelude::*;

use crate::{assert_well_formed, draft, parsed, parsed_people, rendered, words};

/// How long a line with an encoded word may be, without its end (RFC 2047 section 2).
const MAX_LINE: usize = 76;

/// Text that has to be encoded, somewhere in it.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "[a-z]{1,12}",
        1 => "[a-z]{55,90}",
        2 => "[à-öа-я]{1,40}",
        1 => "[📬-📮]{1,20}",
        1 => Just(String::new()),
    ];
    (prop::collection::vec(word, 0..8), "[à-ö📬]{1,3}", 0..8_usize).prop_map(|(mut words, encoded, at)| {
        words.insert(at.min(words.len()), encoded);
        words.join(" ")
    })
}

/// The fields of the head as their lines.
fn fields(raw: &[u8]) -> Vec<Vec<String>> {
    let head = String::from_utf8_lossy(raw);
    let head = head.split("\r\n\r\n").next().unwrap_or_default();
    let mut fields: Vec<Vec<String>> = Vec::new();
    for line in head.split("\r\n") {
        match fields.last_mut().filter(|_| line.starts_with(' ')) {
            Some(field) => field.push(line.to_owned()),
            None => fields.push(vec![line.to_owned()]),
        }
    }
    fields
}

fn assert_lines_fit(raw: &[u8], fields_encoded: usize) {
    let is_encoded = |field: &Vec<String>| field.iter().any(|line| line.contains("=?utf-8?"));
    let encoded: Vec<Vec<String>> = fields(raw).into_iter().filter(is_encoded).collect();
    assert_eq!(encoded.len(), fields_encoded, "{encoded:?}");
    for line in encoded.iter().flatten() {
        assert!(line.len() <= MAX_LINE, "{} octets: {line}", line.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_of_an_encoded_field_is_too_long(
        subject in text(),
        name in "X-[A-Za-z]{1,73}",
        value in text(),
        people in (text(), text()),
    ) {
        let mailbox = |name: &str| format!("\"{name}\" <ana@example.org>");
        let draft = Draft {
            from: mailbox(&people.0),
            to: vec![mailbox(&people.1)],
            subject,
            headers: vec![(name.clone(), value.clone())],
            ..draft()
        };
        prop_assume!(people.0.len() <= 320 && people.1.len() <= 320);
        let raw = rendered(&draft);
        assert_well_formed(&raw);
        assert_lines_fit(&raw, 4);
        let read = parsed(&raw);
        prop_assert_eq!(words(read.subject().unwrap_or_default()), words(&draft.subject));
        let field = read.header_as(HeaderName::Other(name.into()), HeaderForm::Text);
        let field = field.first().and_then(|value| value.as_text()).unwrap_or_default();
        prop_assert_eq!(words(field), words(&value));
        for (found, given) in [(read.from(), &people.0), (read.to(), &people.1)] {
            let expected = (words(given), "ana@example.org".to_owned());
            prop_assert_eq!(parsed_people(found), vec![expected]);
        }
    }
}

/// Names of fields are as long as they may be: then nothing has room beside them.
#[test]
fn long_names_stand_alone_on_their_line() {
    for length in [50, 60, 74] {
        let name = format!("X-{}", "a".repeat(length));
        let raw = rendered(&Draft { headers: vec![(name.clone(), "é".repeat(40))], ..draft() });
        let lines = fields(&raw).into_iter().find(|lines| lines[0].starts_with(&name)).expect("the field");
        assert!(lines[0].len() <= MAX_LINE || lines[0] == format!("{name}:"), "{lines:?}");
        assert!(lines[1..].iter().all(|line| line.len() <= MAX_LINE), "{lines:?}");
    }
}
