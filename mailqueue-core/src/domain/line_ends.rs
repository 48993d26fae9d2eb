//! The line ends of a text, which its rendered form does not tell: there all are CRLF.

use memchr::{memchr, memchr2_iter, memmem};

/// The line ends of `text`, one letter each: `L` for LF, `C` for CRLF, `R` for CR. The last letter stands for all that
/// follow. Empty when every line ends in LF.
pub(super) fn of(text: &str) -> String {
    let octets = text.as_bytes();
    let mut ends = String::new();
    if memchr(b'\r', octets).is_none() {
        return ends;
    }
    for at in memchr2_iter(b'\r', b'\n', octets) {
        match (octets[at], octets.get(at + 1)) {
            (b'\r', Some(b'\n')) => ends.push('C'),
            (b'\r', _) => ends.push('R'),
            // Counted with its CR.
            _ if at > 0 && octets[at - 1] == b'\r' => {}
            _ => ends.push('L'),
        }
    }
    if let Some(last) = ends.pop() {
        ends.truncate(ends.trim_end_matches(last).len());
        ends.push(last);
    }
    ends
}

/// The text whose line ends are `ends`, from one whose lines all end in CRLF.
pub(super) fn restore(text: String, ends: &str) -> String {
    if ends == "C" {
        return text;
    }
    let mut restored = String::with_capacity(text.len());
    let (mut ends, mut end) = (ends.bytes(), b'L');
    let mut start = 0;
    for at in memmem::find_iter(text.as_bytes(), b"\r\n") {
        end = ends.next().unwrap_or(end);
        restored.push_str(&text[start..at]);
        restored.push_str(match end {
            b'C' => "\r\n",
            b'R' => "\r",
            _ => "\n",
        });
        start = at + 2;
    }
    restored.push_str(&text[start..]);
    restored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_written_for_each_change_and_not_for_each_line() {
        for (text, ends) in [
            ("", ""),
            ("a", ""),
            ("a\nb\n", ""),
            ("a\r\nb\r\nc", "C"),
            ("\r\r\r", "R"),
            ("a\r\nb\nc\n\n", "CL"),
            ("a\n\rb\r\r\n", "LRRC"),
        ] {
            assert_eq!(of(text), ends, "{text:?}");
            let rendered = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
            assert_eq!(restore(rendered, ends), text);
        }
    }
}
