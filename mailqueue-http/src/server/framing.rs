//! Follows where requests begin and end on a connection, to see what the HTTP parser behind it hides.
//!
//! hyper drops a `Content-Length` that stands beside a `Transfer-Encoding` and one that is repeated (checked with
//! hyper 1.12.0), so nobody downstream can tell. Such a request is what request smuggling is made of (RFC 9112
//! section 11.2): it is refused, whatever stands in front of this server.

use memchr::memchr;

/// The longest line followed. hyper refuses heads that are longer than its buffer, which is not larger.
const MAX_LINE: usize = 64 * 1024;

/// Follows the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    place: Place,
    line: Vec<u8>,
    head: Head,
}

/// The place of the next byte.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The request line, or empty lines before it.
    #[default]
    Start,
    /// The header lines.
    Head,
    /// A body with this many octets left.
    Body(u64),
    /// The line with a chunk's size.
    ChunkSize,
    /// A chunk with this many octets left, its line end counted.
    Chunk(u64),
    /// The lines after the last chunk.
    Trailer,
    /// Lost track: hyper refuses such bytes as well.
    Lost,
}

/// The header lines about the body that were read so far.
#[derive(Debug, Default)]
struct Head {
    lengths: u32,
    codings: u32,
    length: Option<u64>,
}

impl Framing {
    /// Follows more bytes. `true` when the length of a request has been told more than once.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.place {
                Place::Lost => return false,
                Place::Body(left) | Place::Chunk(left) => bytes = self.skip(bytes, left),
                _ => {
                    let Some(rest) = self.gather(bytes) else { return false };
                    bytes = rest;
                    if self.end_line() {
                        self.place = Place::Lost;
                        return true;
                    }
                    self.line.clear();
                }
            }
        }
        false
    }

    /// Passes over content.
    fn skip<'b>(&mut self, bytes: &'b [u8], left: u64) -> &'b [u8] {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - taken as u64;
        self.place = match self.place {
            Place::Chunk(_) if left == 0 => Place::ChunkSize,
            Place::Chunk(_) => Place::Chunk(left),
            _ if left == 0 => Place::Start,
            _ => Place::Body(left),
        };
        &bytes[taken..]
    }

    /// Takes bytes up to the end of the line; what follows it, or `None` when the end is not there yet.
    fn gather<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if self.line.len() + part.len() > MAX_LINE {
            self.place = Place::Lost;
            return None;
        }
        self.line.extend_from_slice(part);
        end.map(|end| &bytes[end + 1..])
    }

    /// Reads the line that has just ended. `true` when it ends a head that says its length twice.
    fn end_line(&mut self) -> bool {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        match self.place {
            Place::Start if !line.is_empty() => self.place = Place::Head,
            Place::Head if line.is_empty() => return self.end_head(),
            Place::Head => self.head.note(line),
            Place::ChunkSize => self.place = chunk(line),
            Place::Trailer if line.is_empty() => self.place = Place::Start,
            _ => {}
        }
        false
    }

    fn end_head(&mut self) -> bool {
        let head = std::mem::take(&mut self.head);
        self.place = match (head.codings, head.lengths, head.length) {
            (0, 0, _) | (0, 1, Some(0)) => Place::Start,
            (0, 1, Some(length)) => Place::Body(length),
            (1, 0, _) => Place::ChunkSize,
            // A length that is no number, which hyper refuses as well.
            (0, 1, None) => Place::Lost,
            _ => return true,
        };
        false
    }
}

impl Head {
    fn note(&mut self, line: &[u8]) {
        let Some(colon) = memchr(b':', line) else { return };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            self.length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings += 1;
        }
    }
}

/// The place after the line with a chunk's size.
fn chunk(line: &[u8]) -> Place {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match size {
        Some(0) => Place::Trailer,
        Some(size) => size.checked_add(2).map_or(Place::Lost, Place::Chunk),
        None => Place::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds a fault in the same bytes, whole and one by one.
    fn faulty(bytes: &str) -> bool {
        let at_once = Framing::default().follow(bytes.as_bytes());
        let mut framing = Framing::default();
        let one_by_one = bytes.as_bytes().chunks(1).any(|piece| framing.follow(piece));
        assert_eq!(at_once, one_by_one);
        at_once
    }

    #[test]
    fn a_length_told_once_is_fine() {
        assert!(!faulty("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(!faulty(
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
        ));
        assert!(!faulty(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        ));
    }

    #[test]
    fn header_lines_in_a_body_are_content() {
        let body = "Content-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(!faulty(&format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())));
    }

    #[test]
    fn a_length_told_twice_is_seen_in_any_request_of_a_connection() {
        for head in [
            "Content-Length: 2\r\nContent-Length: 2",
            "content-length: 2\r\nTransfer-Encoding: chunked",
            "TRANSFER-ENCODING: chunked\r\nContent-Length: 2",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            let request = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n");
            assert!(faulty(&request));
            assert!(faulty(&format!("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab{request}")));
        }
    }
}
