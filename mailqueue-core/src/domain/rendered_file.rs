//! The files of a message as they stand in its rendered bytes.

use mail_parser::{MessageParser, MimeHeaders};

use super::attachment::AttachmentSummary;

/// True for a file that the HTML part shows: it has an id, and there is HTML that can refer to it.
#[must_use]
pub fn is_inline(content_id: Option<&str>, has_html: bool) -> bool {
    content_id.is_some() && has_html
}

/// The body of the n-th file of a message, encoded as it stands in `raw`; `None` when it is not there.
///
/// `files` are all files of the message in the order in which they were submitted. A parser's own decoding would
/// take text out of its charset, so the bytes are given as they are.
#[must_use]
pub fn encoded_file<'m>(
    raw: &'m [u8],
    files: &[AttachmentSummary],
    n: usize,
    has_html: bool,
) -> Option<&'m [u8]> {
    let position = position(files, n, has_html)?;
    let message = MessageParser::default().parse(raw)?;
    // Only files have a disposition: `render` writes text and HTML without one.
    let mut parts = message.parts.iter().filter(|part| part.content_disposition().is_some());
    let part = parts.nth(position)?;
    raw.get(part.offset_body as usize..part.offset_end as usize)
}

/// The place of the n-th file among those of the rendered message, where inline files come first.
fn position(files: &[AttachmentSummary], n: usize, has_html: bool) -> Option<usize> {
    let is_inline = |file: &&AttachmentSummary| is_inline(file.content_id.as_deref(), has_html);
    let (file, before) = (files.get(n)?, &files[..n]);
    Some(if is_inline(&file) {
        before.iter().filter(is_inline).count()
    } else {
        files.iter().filter(is_inline).count() + before.iter().filter(|file| !is_inline(file)).count()
    })
}
