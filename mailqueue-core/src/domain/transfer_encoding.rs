//! The bodies of parts as they are sent: 7-bit, in lines.

use std::borrow::Cow;

use email_encoding::body::Encoding;
use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;

/// A text as it is sent, and the transfer encoding that it is in.
pub(super) struct EncodedText {
    pub(super) encoding: ContentTransferEncoding,
    pub(super) octets: Vec<u8>,
}

/// A text as the body of a part: 7-bit, and every line ends in CRLF. What it costs grows with the text's length alone.
///
/// A bare CR is a line end too: some servers take it for one (SMTP smuggling).
pub(super) fn text(text: &str) -> EncodedText {
    let text = unix_lines(text);
    // Chosen by what was handed in: the CR that each line gets for the way says nothing about the text.
    let encoding = Encoding::choose(&*text, false);
    // lettre would end the lines itself, but it moves the rest of the text for each of them.
    let lines = network_lines(&text);
    let body = match encoding {
        Encoding::SevenBit => {
            return EncodedText { encoding: ContentTransferEncoding::SevenBit, octets: lines };
        }
        Encoding::QuotedPrintable => Body::new_with_encoding(lines, ContentTransferEncoding::QuotedPrintable)
            .expect("quoted-printable holds any octets"),
        // EightBit is not chosen where 8-bit text is not supported (`false` above).
        Encoding::EightBit | Encoding::Base64 => base64(&lines),
    };
    EncodedText { encoding: body.encoding(), octets: body.into_vec() }
}

/// Octets as the body of a part, in base64.
pub(super) fn base64(octets: &[u8]) -> Body {
    let mut encoded = String::with_capacity(email_encoding::body::base64::encoded_len(octets.len()));
    email_encoding::body::base64::encode(octets, &mut encoded).expect("a String takes whatever is written");
    Body::dangerous_pre_encoded(encoded.into_bytes(), ContentTransferEncoding::Base64)
}

/// Text whose lines end in LF.
fn unix_lines(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return text.into();
    }
    let mut lines = String::with_capacity(text.len());
    let mut start = 0;
    for end in memchr::memchr_iter(b'\r', text.as_bytes()) {
        lines.push_str(&text[start..end]);
        start = end + 1;
        if text.as_bytes().get(start) != Some(&b'\n') {
            lines.push('\n');
        }
    }
    lines.push_str(&text[start..]);
    lines.into()
}

/// The octets of text whose lines end in LF, with CRLF in its place.
fn network_lines(text: &str) -> Vec<u8> {
    let ends = memchr::memchr_iter(b'\n', text.as_bytes());
    let mut lines = Vec::with_capacity(text.len() + ends.clone().count());
    let mut start = 0;
    for end in ends {
        lines.extend_from_slice(&text.as_bytes()[start..end]);
        lines.extend_from_slice(b"\r\n");
        start = end + 1;
    }
    lines.extend_from_slice(&text.as_bytes()[start..]);
    lines
}
