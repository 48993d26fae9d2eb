//! The text and the HTML of a message as they stand in its rendered bytes.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use memchr::memmem;

use super::line_ends;
use super::message::Message;

/// The text and the HTML of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bodies {
    /// The text part; `None` where there is none.
    pub text: Option<String>,
    /// The HTML part; likewise.
    pub html: Option<String>,
}

/// The line ends of a message's text and HTML, as [`bodies`] needs them; `None` when all are LF.
#[must_use]
pub fn line_ends(message: &Message) -> Option<String> {
    let of = |body: &Option<String>| body.as_deref().map(line_ends::of).unwrap_or_default();
    let (text, html) = (of(&message.text), of(&message.html));
    (!text.is_empty() || !html.is_empty()).then(|| format!("{text}/{html}"))
}

/// The text and the HTML that were rendered into `raw`, to the octet; `None` when `raw` is not as
/// [`render`](super::render::render) writes it.
///
/// A parser of any mail would decode every file as well. This reads no further than the HTML.
#[must_use]
pub fn bodies(raw: &[u8], line_ends: Option<&str>) -> Option<Bodies> {
    let (of_text, of_html) = line_ends.unwrap_or("/").split_once('/')?;
    let mut found = Bodies::default();
    read(raw.strip_suffix(b"\r\n")?, &mut found)?;
    Some(Bodies {
        text: found.text.map(|text| line_ends::restore(text, of_text)),
        html: found.html.map(|html| line_ends::restore(html, of_html)),
    })
}

/// Reads a part, or of several parts those that can be the text or the HTML.
fn read(part: &[u8], found: &mut Bodies) -> Option<()> {
    let (head, body) = split(part, b"\r\n\r\n")?;
    let content_type = field(head, "Content-Type")?;
    if let Some(kind) = content_type.strip_prefix("multipart/") {
        let (_, boundary) = kind.split_once("boundary=\"")?;
        let (boundary, _) = boundary.split_once('"')?;
        let (first, rest) = first_part(body, boundary)?;
        read(first, found)?;
        // Only files follow in the other kinds.
        if kind.starts_with("alternative") {
            read(first_part(rest, boundary)?.0, found)?;
        }
    } else if content_type.starts_with("text/html") {
        found.html = Some(decoded(head, body)?);
    } else {
        found.text = Some(decoded(head, body)?);
    }
    Some(())
}

/// The first of the parts between boundaries, and what follows it.
fn first_part<'m>(parts: &'m [u8], boundary: &str) -> Option<(&'m [u8], &'m [u8])> {
    let rest = parts.strip_prefix(format!("--{boundary}\r\n").as_bytes())?;
    let end = memmem::find(rest, format!("\r\n--{boundary}").as_bytes())?;
    Some((&rest[..end], &rest[end + 2..]))
}

/// A body without its transfer encoding; its lines end in CRLF.
fn decoded(head: &[u8], body: &[u8]) -> Option<String> {
    let octets = match field(head, "Content-Transfer-Encoding")? {
        "7bit" => body.to_vec(),
        "quoted-printable" => quoted_printable_decode(body)?,
        "base64" => base64_decode(body)?,
        _ => return None,
    };
    String::from_utf8(octets).ok()
}

/// The value of a field with the lines it is folded into.
fn field<'m>(head: &'m [u8], name: &str) -> Option<&'m str> {
    let head = std::str::from_utf8(head).ok()?;
    // The fields of a part come last in the head of a message, and begin that of any other part.
    let (_, value) = head.rsplit_once(&format!("{name}: "))?;
    let ends = value.match_indices("\r\n").map(|(at, _)| at);
    let end = ends.into_iter().find(|at| !value[at + 2..].starts_with(' ')).unwrap_or(value.len());
    Some(&value[..end])
}

fn split<'m>(octets: &'m [u8], at: &[u8]) -> Option<(&'m [u8], &'m [u8])> {
    let start = memmem::find(octets, at)?;
    Some((&octets[..start], &octets[start + at.len()..]))
}
