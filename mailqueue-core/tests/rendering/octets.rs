//! The octets of one message between DATA and its final dot, as they went over the wire.

use mailqueue_core::Draft;
use memchr::{memchr_iter, memmem};

use crate::drafts::HIDDEN;

/// What ends a message, on a line of its own.
const END: &[u8] = b"\r\n.\r\n";

/// The longest line, its end not counted (RFC 5321 section 4.5.3.1.6).
const LONGEST_LINE: usize = 998;

/// Takes the octets up to the final dot. Knows nothing of how they were made.
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl Octets<'_> {
    /// That a server can read them in one way only.
    pub(crate) fn assert_unmistakable(&self) {
        let Self(raw) = self;
        assert!(!raw.contains(&0), "a NUL");
        assert!(memchr_iter(b'\n', raw).all(|at| at > 0 && raw[at - 1] == b'\r'), "a bare LF");
        assert!(memchr_iter(b'\r', raw).all(|at| raw.get(at + 1) == Some(&b'\n')), "a bare CR");
        let whole = [raw, b".\r\n".as_slice()].concat();
        let ends: Vec<usize> = memmem::find_iter(&whole, END).collect();
        assert_eq!(ends, [whole.len() - END.len()], "where a server sees the end");
        for line in self.lines() {
            assert!(line.len() <= LONGEST_LINE, "a line of {} octets", line.len());
            assert!(!line.starts_with(b".") || line.starts_with(b".."), "a dot that is not stuffed");
        }
    }

    /// That they name nobody who gets a blind copy.
    pub(crate) fn assert_discreet(&self, draft: &Draft) {
        let lower = self.0.to_ascii_lowercase();
        assert!(draft.bcc.iter().all(|bcc| bcc.contains(HIDDEN)), "a recipient that can be looked for");
        assert!(memmem::find(&lower, HIDDEN.as_bytes()).is_none(), "an address of Bcc");
        let mut head = self.lines().take_while(|line| !line.is_empty()).map(<[u8]>::to_ascii_lowercase);
        let tells = |line: &Vec<u8>| line.starts_with(b"bcc") || line.starts_with(b"resent-bcc");
        assert!(!head.any(|line| tells(&line)), "a field Bcc");
    }

    /// What the recipient's server makes of them (RFC 5321 section 4.5.2).
    pub(crate) fn unstuffed(&self) -> Vec<u8> {
        let lines: Vec<&[u8]> = self.lines().map(|line| line.strip_prefix(b".").unwrap_or(line)).collect();
        lines.join(b"\r\n".as_slice())
    }

    /// The lines without their ends, and what follows the last one.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let ends = memmem::find_iter(self.0, b"\r\n").map(Some).chain([None]);
        let mut start = 0;
        ends.map(move |end| {
            let line = &self.0[start..end.unwrap_or(self.0.len())];
            start = end.map_or(start, |end| end + 2);
            line
        })
    }
}
