//! The body between 354 and the final dot.

use bytes::Bytes;
use memchr::memmem;

/// Where the body ends and where the next command begins, if the final dot is in `data`.
///
/// Only CRLF counts as a line end: `\n.\n` and its kin are part of the body, so a client that lets them
/// through is seen to have done so. The first `searched` bytes are known to be without the end.
pub(super) fn end(data: &[u8], searched: usize) -> Option<(usize, usize)> {
    if data.starts_with(b".\r\n") {
        return Some((0, 3));
    }
    // The end mark may straddle the border to what is new.
    let from = searched.saturating_sub(4);
    memmem::find(&data[from..], b"\r\n.\r\n").map(|position| (from + position + 2, from + position + 5))
}

/// The body as the recipient gets it: a dot that begins a line is taken away.
pub(super) fn unstuff(raw: &Bytes) -> Bytes {
    if !raw.starts_with(b".") && memmem::find(raw, b"\r\n.").is_none() {
        return raw.clone();
    }
    let mut body = Vec::with_capacity(raw.len());
    let mut rest = raw.strip_prefix(b".").unwrap_or(raw);
    while let Some(position) = memmem::find(rest, b"\r\n.") {
        body.extend_from_slice(&rest[..position + 2]);
        rest = &rest[position + 3..];
    }
    body.extend_from_slice(rest);
    body.into()
}

/// True when a CR or an LF stands without the other.
pub(super) fn has_bare_line_end(raw: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', b'\n', raw).any(|position| match raw[position] {
        b'\r' => raw.get(position + 1) != Some(&b'\n'),
        _ => position == 0 || raw[position - 1] != b'\r',
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cr_or_lf_alone_is_bare() {
        for raw in [b"\n".as_slice(), b"a\nb", b"a\r", b"a\r\r\n", b"\r\n\n"] {
            assert!(has_bare_line_end(raw), "{raw:?}");
        }
        assert!(!has_bare_line_end(b"a\r\n\r\nb\r\n"));
    }

    #[test]
    fn the_end_is_found_wherever_the_pieces_are_cut() {
        let data = b"one\r\n..two\r\n.\r\nQUIT\r\n";
        for searched in 0..=14 {
            assert_eq!(end(&data[..15], searched), Some((12, 15)), "searched {searched}");
            assert_eq!(end(&data[..searched], 0), None, "cut at {searched}");
        }
        assert_eq!(end(b".\r\n", 0), Some((0, 3)));
    }

    #[test]
    fn bare_line_ends_do_not_end_a_body() {
        for data in [b"x\n.\n".as_slice(), b"x\n.\r\n", b"x\r.\r", b"x\r\n.\n", b"x\r\n.\r"] {
            assert_eq!(end(data, 0), None, "{data:?}");
        }
    }

    #[test]
    fn one_dot_a_line_is_taken_away_and_no_more() {
        let unstuffed = |raw: &'static [u8]| unstuff(&Bytes::from_static(raw));
        assert_eq!(unstuffed(b"..\r\n...\r\na.b\r\n"), b".\r\n..\r\na.b\r\n".as_slice());
        assert_eq!(unstuffed(b"\r\n..\r\n..\r\n"), b"\r\n.\r\n.\r\n".as_slice());
        assert_eq!(unstuffed(b"a\n..b\r\n"), b"a\n..b\r\n".as_slice());
    }
}
