//! The message between 354 and the final dot (RFC 5321 section 4.5.2).

use memchr::{memchr2_iter, memmem};

/// True if a CR or an LF stands without the other. Some servers take it for a line end and others do not, so that one
/// message could be smuggled inside another. RFC 5321 section 2.3.8 forbids to send it.
pub(super) fn has_bare_line_end(raw: &[u8]) -> bool {
    memchr2_iter(b'\r', b'\n', raw).any(|at| match raw[at] {
        b'\r' => raw.get(at + 1) != Some(&b'\n'),
        _ => at == 0 || raw[at - 1] != b'\r',
    })
}

/// The end of a message: the dot on a line of its own, after a line end that is not doubled.
pub(super) fn ending(raw: &[u8]) -> &'static [u8] {
    if raw.is_empty() || raw.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" }
}

/// Doubles the dots that begin lines, of a message that comes in pieces.
#[derive(Debug)]
pub(super) struct DotStuffer {
    at_line_start: bool,
}

impl DotStuffer {
    pub(super) fn new() -> Self {
        Self { at_line_start: true }
    }

    /// Appends the next piece to `output`.
    pub(super) fn push(&mut self, piece: &[u8], output: &mut Vec<u8>) {
        if self.at_line_start && piece.starts_with(b".") {
            output.push(b'.');
        }
        let mut copied = 0;
        // Looks for LF alone, because `has_bare_line_end` has refused any without its CR.
        for line_end in memmem::find_iter(piece, b"\n.") {
            output.extend_from_slice(&piece[copied..=line_end]);
            output.push(b'.');
            copied = line_end + 1;
        }
        output.extend_from_slice(&piece[copied..]);
        if let Some(last) = piece.last() {
            self.at_line_start = *last == b'\n';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuff(raw: &[u8], pieces: usize) -> Vec<u8> {
        let (mut stuffer, mut output) = (DotStuffer::new(), Vec::new());
        for piece in raw.chunks(pieces.max(1)) {
            stuffer.push(piece, &mut output);
        }
        output
    }

    /// What a server does.
    fn unstuff(stuffed: &[u8]) -> Vec<u8> {
        let lines = stuffed.split_inclusive(|b| *b == b'\n');
        lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect()
    }

    #[test]
    fn only_dots_that_begin_a_line_are_doubled() {
        assert_eq!(stuff(b".a\r\n..b\r\nc.d\r\n.", 99), b"..a\r\n...b\r\nc.d\r\n..");
        assert_eq!(stuff(b"", 1), b"");
    }

    #[test]
    fn the_last_line_end_is_not_doubled() {
        assert_eq!(ending(b"a\r\n"), b".\r\n");
        assert_eq!(ending(b"a"), b"\r\n.\r\n");
        assert_eq!(ending(b""), b".\r\n");
    }

    #[test]
    fn a_cr_or_lf_alone_is_bare() {
        for raw in [b"\n".as_slice(), b"a\nb", b"a\r", b"a\r\r\n", b"\r\n\n", b"\n\r\n"] {
            assert!(has_bare_line_end(raw), "{raw:?}");
        }
        assert!(!has_bare_line_end(b"a\r\n\r\nb\r\n"));
    }

    proptest! {
        #[test]
        fn a_server_gets_back_what_was_stuffed(
            raw in "([a.]{0,4}(\r\n)?){0,40}",
            pieces in 1usize..30,
        ) {
            let stuffed = stuff(raw.as_bytes(), pieces);
            prop_assert_eq!(unstuff(&stuffed), raw.as_bytes());
            let mut sent = b"\r\n".to_vec();
            sent.extend(&stuffed);
            prop_assert!(memmem::find(&sent, b"\r\n.\r\n").is_none(), "a dot stands alone before the end");
        }
    }
}
