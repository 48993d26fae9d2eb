//! Replies of a server: RFC 5321 section 4.2, read leniently and within bounds.

use std::fmt::Write as _;

use crate::domain::report::Reply;

/// The longest line taken, in octets without its line end. RFC 5321 allows 512.
pub(super) const LINE_LIMIT: usize = 4096;

/// The most lines a reply may have.
const LINES_LIMIT: usize = 100;

/// A whole reply. It counts by its code; the text is only kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u16,
    /// The lines without their codes, separated by LF, without other control characters.
    pub(super) text: String,
}

/// Octets that are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoReply {
    #[error("a line that begins with no reply code")]
    Junk,
    #[error("a reply whose lines have different codes")]
    MixedCodes,
    #[error("a line longer than {LINE_LIMIT} octets")]
    LineTooLong,
    #[error("a reply of more than {LINES_LIMIT} lines")]
    TooManyLines,
}

impl Answer {
    /// True if it says yes to a command about mail: 2yz, but not with a second digit that speaks of help (211), the
    /// connection (220, 221) or the login (235), and so belongs to something else.
    pub(super) fn is_yes(&self) -> bool {
        self.code / 100 == 2 && !matches!(self.code / 10 % 10, 1..=3)
    }

    pub(super) fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// True if the server asks for patience with an enhanced code (RFC 3463): policy and security, transient.
    pub(super) fn asks_for_patience(&self) -> bool {
        self.is_transient() && self.text.starts_with("4.7.")
    }

    /// The lines after the first, for EHLO.
    pub(super) fn further_lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n').skip(1)
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let text = if answer.text.contains('\n') { answer.text.replace('\n', " ") } else { answer.text };
        Self::new(Some(answer.code), text)
    }
}

/// Puts a reply together line by line.
#[derive(Debug, Default)]
pub(super) struct ReplyParser {
    code: Option<u16>,
    lines: usize,
    text: String,
}

impl ReplyParser {
    /// Takes the next line, its LF cut off; the reply when that was its last one.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Option<Answer>, NoReply> {
        // Lenient: some servers end lines with LF alone.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_LIMIT {
            return Err(NoReply::LineTooLong);
        }
        let (code, rest) = code(line).ok_or(NoReply::Junk)?;
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(NoReply::Junk),
        };
        if self.code.is_some_and(|first| first != code) {
            return Err(NoReply::MixedCodes);
        }
        self.code = Some(code);
        self.lines += 1;
        if self.lines > LINES_LIMIT {
            return Err(NoReply::TooManyLines);
        }
        self.keep(text);
        Ok(last.then(|| Answer { code, text: std::mem::take(&mut self.text) }))
    }

    fn keep(&mut self, text: &[u8]) {
        if self.lines > 1 {
            self.text.push('\n');
        }
        let text = String::from_utf8_lossy(text);
        if text.contains(char::is_control) {
            // Neither a database nor a terminal takes them all.
            self.text.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        } else {
            // Writing to a string does not fail.
            let _ = self.text.write_str(&text);
        }
    }
}

/// A code of three digits, the first of which has a meaning, and what follows it.
fn code(line: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let known = matches!(digits[0], b'2'..=b'5') && digits.iter().all(u8::is_ascii_digit);
    known.then(|| (digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<Answer>, NoReply> {
        let mut parser = ReplyParser::default();
        for line in
            bytes.split_inclusive(|b| *b == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        {
            if let Some(answer) = parser.line(line)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_reply_is_read_by_its_code() {
        for (bytes, code, text) in [
            (b"250\r\n".as_slice(), 250, ""),
            (b"250 \r\n", 250, ""),
            (b"250 2.0.0 Ok\n", 250, "2.0.0 Ok"),
            (b"250 entregue \xe0s 3\r\n", 250, "entregue \u{fffd}s 3"),
            (b"269 strange\r\n", 269, "strange"),
            (b"250-a\r\n250-b\n250 c\r\n", 250, "a\nb\nc"),
            (b"550-\r\n550\r\n", 550, "\n"),
            (b"250 a\0b\rc\x1b[0m\r\n", 250, "a b c [0m"),
        ] {
            assert_eq!(parse(bytes), Ok(Some(Answer { code, text: text.into() })), "{bytes:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_reply_is_an_error() {
        for (bytes, error) in [
            (b"\r\n".as_slice(), NoReply::Junk),
            (b"25\r\n", NoReply::Junk),
            (b"OK\r\n", NoReply::Junk),
            (b"2500 x\r\n", NoReply::Junk),
            (b"250OK\r\n", NoReply::Junk),
            (b"150 x\r\n", NoReply::Junk),
            (b"650 x\r\n", NoReply::Junk),
            (b" 250 x\r\n", NoReply::Junk),
            (b"HTTP/1.1 400 Bad Request\r\n", NoReply::Junk),
            (b"250-a\r\n550 b\r\n", NoReply::MixedCodes),
        ] {
            assert_eq!(parse(bytes), Err(error), "{bytes:?}");
        }
        assert_eq!(parse("250-x\r\n".repeat(101).as_bytes()), Err(NoReply::TooManyLines));
        assert_eq!(parse(format!("250 {}\r\n", "x".repeat(4093)).as_bytes()), Err(NoReply::LineTooLong));
        assert!(parse(format!("250 {}\r\n", "x".repeat(4092)).as_bytes()).is_ok());
    }

    #[test]
    fn yes_is_a_yes_about_mail() {
        let yes = |code| Answer { code, text: String::new() }.is_yes();
        assert!([250, 251, 252, 269, 200, 240].into_iter().all(yes));
        assert!(![211, 214, 220, 221, 235, 334, 354, 450, 550].into_iter().any(yes));
    }

    #[test]
    fn a_kept_reply_is_one_line_within_the_limit() {
        let reply = Reply::from(Answer { code: 550, text: format!("5.1.1 no\n{}", "é".repeat(400)) });
        assert!(reply.text.starts_with("5.1.1 no éé") && reply.text.len() <= Reply::TEXT_LIMIT, "{reply:?}");
    }

    proptest! {
        #[test]
        fn no_input_panics_or_grows_without_bound(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            if let Ok(Some(answer)) = parse(&bytes) {
                prop_assert!((200..600).contains(&answer.code));
                prop_assert!(answer.text.len() <= LINES_LIMIT * (LINE_LIMIT * 3 + 1));
            }
        }

        #[test]
        fn a_reply_comes_out_as_it_was_written(
            code in 200u16..600,
            lines in prop::collection::vec("[ -~]{0,60}", 1..20),
            end in prop::sample::select(vec!["\r\n", "\n"]),
        ) {
            let mut written = String::new();
            for (number, line) in lines.iter().enumerate() {
                let mark = if number + 1 == lines.len() { ' ' } else { '-' };
                written.push_str(&format!("{code}{mark}{line}{end}"));
            }
            prop_assert_eq!(parse(written.as_bytes()), Ok(Some(Answer { code, text: lines.join("\n") })));
        }
    }
}
