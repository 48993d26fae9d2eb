//! Header fields as lines: folded, 7-bit, and never longer than a line may be.

use super::address::Mailbox;

/// The width at which a line is folded if it can be (RFC 5322 section 2.1.1 recommends 78).
const WIDTH: usize = 76;

/// The longest word that fits a line of 998 octets with the space that folding puts before it.
pub(super) const MAX_WORD_OCTETS: usize = 997;

/// A name up to this length is written as it is; a longer one in encoded words, which can be folded.
const MAX_PLAIN_NAME: usize = 60;

/// The characters around the text of an encoded word.
const ENCODED_FRAME: usize = "=?utf-8?q??=".len();

/// The most octets of text in an encoded word, encoded: 75 (RFC 2047 section 2) less its frame. With the
/// space before it that is a line of 76, which is all that a line with an encoded word may have.
const ENCODED_CAPACITY: usize = 75 - ENCODED_FRAME;

/// The least capacity of an encoded word beside a field's name: any character.
const MIN_ENCODED_OCTETS: usize = "=F0=9F=93=AC".len();

/// A field of free text, which a reader sees exactly as it was given: what could be lost (spaces at the ends or in
/// a row), misread (what looks like an encoded word) or refused (other letters, words too long for a line) is encoded.
pub(super) fn text(name: &str, value: &str) -> String {
    if is_one_line(name, value) {
        return [name, ": ", value, "\r\n"].concat();
    }
    text_by_words(name, value)
}

fn text_by_words(name: &str, value: &str) -> String {
    let words: Vec<&str> = value.split(' ').collect();
    let is_void = |n: Option<usize>| n.and_then(|n| words.get(n)).is_some_and(|word| word.is_empty());
    let is_special = |n: usize| {
        let beside_void = is_void(Some(n)) || is_void(n.checked_sub(1)) || is_void(Some(n + 1));
        (beside_void && words.len() > 1) || !is_plain(words[n])
    };
    // Where there is an encoded word no line may be long, and another word can be encoded too.
    let is_encoded = (0..words.len()).any(is_special);
    let is_long = |n: usize| words[n].len() + if n == 0 { name.len() + 2 } else { 1 } > WIDTH;
    let is_special = |n: usize| is_special(n) || (is_encoded && is_long(n));
    let mut line = Line::new(name);
    let mut n = 0;
    while n < words.len() {
        let run = (n..words.len()).take_while(|n| is_special(*n)).count();
        if run == 0 {
            line.put(words[n]);
            n += 1;
        } else {
            line.put_encoded(&words[n..n + run].join(" "));
            n += run;
        }
    }
    line.end()
}

/// A field that machines read, such as References: white space separates and means nothing more, and only words that
/// are not ASCII are encoded.
pub(super) fn structured(name: &str, value: &str) -> String {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let mut line = Line::new(name);
    for same in words.chunk_by(|one, other| one.is_ascii() == other.is_ascii()) {
        match same[0].is_ascii() {
            true => same.iter().for_each(|word| line.put(word)),
            false => line.put_encoded(&same.join(" ")),
        }
    }
    line.end()
}

/// A field of addresses.
pub(super) fn mailboxes(name: &str, mailboxes: &[Mailbox]) -> String {
    let mut line = Line::new(name);
    for (n, mailbox) in mailboxes.iter().enumerate() {
        let comma = if n + 1 < mailboxes.len() { "," } else { "" };
        // In brackets many parsers read even a quoted local part.
        let is_bare = mailbox.name.is_none() && !mailbox.address.local().starts_with('"');
        if let Some(name) = &mailbox.name {
            line.put_name(name);
        }
        let (open, close) = if is_bare { ("", "") } else { ("<", ">") };
        line.put(&format!("{open}{}{close}{comma}", mailbox.address));
    }
    line.end()
}

/// Tells whether a field is written as it is, on one line: most are, and they need not be taken apart.
fn is_one_line(name: &str, value: &str) -> bool {
    let is_bare = |b: u8| b.is_ascii_graphic() || b == b' ';
    let has_void = value.is_empty() || value.starts_with(' ') || value.ends_with(' ') || value.contains("  ");
    name.len() + 2 + value.len() <= WIDTH && !has_void && value.bytes().all(is_bare) && !value.contains("=?")
}

fn is_plain(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_graphic()) && !word.contains("=?") && word.len() <= MAX_WORD_OCTETS
}

/// One field that grows word by word.
struct Line {
    text: String,
    column: usize,
    is_empty: bool,
}

impl Line {
    fn new(name: &str) -> Self {
        Self { text: format!("{name}:"), column: name.len() + 1, is_empty: true }
    }

    /// Adds a word, on a new line if it does not fit this one. The first stays beside the name if it can.
    fn put(&mut self, word: &str) {
        let width = if self.is_empty { MAX_WORD_OCTETS } else { WIDTH };
        if self.column + 1 + word.len() > width {
            self.fold();
        }
        self.text.push(' ');
        self.text.push_str(word);
        self.column += 1 + word.len();
        self.is_empty = false;
    }

    /// Goes on with the next line. One that holds nothing is kept.
    fn fold(&mut self) {
        if self.column > 0 {
            self.text.push_str("\r\n");
            self.column = 0;
        }
    }

    /// Adds a name: an atom, a quoted string, or encoded words.
    fn put_name(&mut self, name: &str) {
        let is_atom = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let is_printable = name.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if name.bytes().all(is_atom) && name.len() <= MAX_PLAIN_NAME {
            self.put(name);
        } else if is_printable && !name.contains("=?") && name.len() <= MAX_PLAIN_NAME {
            self.put(&format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
        } else {
            self.put_encoded(name);
        }
    }

    /// Adds text as encoded words (RFC 2047, encoding Q), none of which splits a character or makes its line too long.
    fn put_encoded(&mut self, text: &str) {
        let mut word = String::new();
        let mut room = self.encoded_room();
        for c in text.chars() {
            let encoded = encoded(c);
            if word.len() + encoded.len() > room {
                self.put_word(&word);
                word.clear();
                room = ENCODED_CAPACITY;
            }
            word.push_str(&encoded);
        }
        self.put_word(&word);
    }

    /// The capacity of the next encoded word. The first of a field shares its line with the field's name, and one that
    /// would be very short for it begins the next line.
    fn encoded_room(&mut self) -> usize {
        if !self.is_empty {
            return ENCODED_CAPACITY;
        }
        let room = (WIDTH - 1 - ENCODED_FRAME).saturating_sub(self.column);
        if room >= MIN_ENCODED_OCTETS {
            return room;
        }
        self.is_empty = false;
        self.fold();
        ENCODED_CAPACITY
    }

    fn put_word(&mut self, encoded: &str) {
        self.put(&format!("=?utf-8?q?{encoded}?="));
    }

    fn end(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }
}

/// A character in encoding Q, within what RFC 2047 section 5 allows even in a name.
fn encoded(c: char) -> String {
    match c {
        ' ' => "_".to_owned(),
        'a'..='z' | 'A'..='Z' | '0'..='9' | '!' | '*' | '+' | '-' | '/' => c.to_string(),
        other => other.encode_utf8(&mut [0; 4]).bytes().map(|b| format!("={b:02X}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_fits_a_line_is_written_as_by_words(value in "[ a-z=?é]{0,80}|[ -~]{0,80}") {
            prop_assert_eq!(text("Subject", &value), text_by_words("Subject", &value));
        }
    }
}
