//! The HTML of a message as a browser can show it by itself.

use mailqueue_core::domain::attachment::AttachmentSummary;
use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::rendered_file::encoded_file;
use percent_encoding::percent_decode_str;

use crate::wire::offload::offload;
use crate::wire::problem::Problem;

/// The most octets that pictures add to the HTML in all, as base64, however often it names them. Further ones stay away.
const MAX_PICTURES: usize = 4 << 20;

/// Has links open beside the page: inside it nothing else may be shown.
const PREFIX: &str = "<!doctype html><base target=\"_blank\">";

/// Pictures of a message by their content ids, each as a `data:` address.
struct Pictures(Vec<(String, String)>);

/// The HTML of a message, its own pictures in it; `None` where there is none.
///
/// # Errors
///
/// 503 when too much else is under way.
pub(super) async fn html(mut record: Record) -> Result<Option<String>, Problem> {
    let Some(html) = record.html.take() else { return Ok(None) };
    let raw = record.raw.take().unwrap_or_default();
    let files = record.summary.attachments;
    let octets = html.len() + raw.len();
    let with_pictures =
        move || PREFIX.to_owned() + &without_links(&Pictures::of(&raw, &files).put_into(&html));
    Ok(Some(offload(octets, with_pictures).await?))
}

/// The same HTML with its `link` elements under a name that browsers do not know. A policy stops what they load, but not the
/// connection that `preconnect` opens, by which a sender would learn that the mail is looked at.
fn without_links(html: &str) -> String {
    let mut shown = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = position(rest, b"<link") {
        let (before, link) = rest.split_at(at);
        shown.push_str(before);
        shown.push_str("<x-");
        rest = &link[1..];
    }
    shown + rest
}

/// The first place of an ASCII text, in any case.
fn position(html: &str, wanted: &[u8]) -> Option<usize> {
    html.as_bytes().windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted))
}

impl Pictures {
    fn of(raw: &[u8], files: &[AttachmentSummary]) -> Self {
        let (mut pictures, mut left) = (Vec::new(), MAX_PICTURES);
        for (n, file) in files.iter().enumerate() {
            let Some(id) = file.content_id.as_ref().filter(|_| is_picture(&file.content_type)) else {
                continue;
            };
            let Some(encoded) = encoded_file(raw, files, n, true) else { continue };
            let Ok(digits) = std::str::from_utf8(encoded) else { continue };
            let digits: String = digits.split_ascii_whitespace().collect();
            let Some(rest) = left.checked_sub(digits.len()) else { continue };
            left = rest;
            pictures.push((id.clone(), format!("data:{};base64,{digits}", file.content_type)));
        }
        Self(pictures)
    }

    /// Puts pictures in the places of the `cid:` addresses (RFC 2392) that stand for them.
    fn put_into(&self, html: &str) -> String {
        let mut shown = String::with_capacity(html.len());
        let (mut rest, mut left) = (html, MAX_PICTURES);
        while let Some(at) = position(rest, b"cid:") {
            let (before, address) = rest.split_at(at);
            shown.push_str(before);
            let end = address.find(['"', '\'', ' ', '>', ')']).unwrap_or(address.len());
            let id = percent_decode_str(&address[4..end]).decode_utf8_lossy();
            let picture = self.0.iter().find(|(known, _)| *known == id);
            match picture.and_then(|(_, data)| Some((data, left.checked_sub(data.len())?))) {
                Some((data, rest)) => {
                    left = rest;
                    shown.push_str(data);
                }
                None => shown.push_str(&address[..end]),
            }
            rest = &address[end..];
        }
        shown + rest
    }
}

/// True for a type that is safe to stand in an address: nothing in it can end the attribute.
fn is_picture(content_type: &str) -> bool {
    let subtype = content_type.strip_prefix("image/").unwrap_or_default();
    !subtype.is_empty() && subtype.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_the_places_of_their_ids() {
        let pictures = Pictures(vec![("logo@x".into(), "data:image/png;base64,AA==".into())]);
        let shown = |html: &str| pictures.put_into(html);
        assert_eq!(shown("<img src=\"cid:logo@x\">"), "<img src=\"data:image/png;base64,AA==\">");
        assert_eq!(shown("<img src='CID:logo%40x'>ü"), "<img src='data:image/png;base64,AA=='>ü");
        assert_eq!(shown("url(cid:logo@x)"), "url(data:image/png;base64,AA==)");
        for other in ["", "ü", "cid:", "<img src=\"cid:other\">", "acid: cid:logo@xy"] {
            assert_eq!(shown(other), other);
        }
    }

    #[test]
    fn a_picture_that_is_named_often_takes_no_more_than_there_is_for_all() {
        let data = format!("data:image/png;base64,{}", "A".repeat(1 << 20));
        let pictures = Pictures(vec![("a".into(), data)]);
        let shown = pictures.put_into(&"<img src=\"cid:a\">".repeat(10_000));
        assert!(shown.len() < MAX_PICTURES + 10_000 * 20, "{}", shown.len());
        assert_eq!(shown.matches("data:image").count(), 3);
    }

    #[test]
    fn no_element_opens_a_connection_elsewhere() {
        let html =
            "<LINK rel=preconnect href=\"https://evil.example\"><p>ü</p><link\trel=x><a href=\"x\">link</a>";
        let shown = "<x-LINK rel=preconnect href=\"https://evil.example\"><p>ü</p><x-link\trel=x><a href=\"x\">link</a>";
        assert_eq!(without_links(html), shown);
    }

    #[test]
    fn only_types_of_pictures_are_put_in() {
        assert!(is_picture("image/png") && is_picture("image/svg+xml"));
        for other in ["image/", "text/html", "image/png\"><script>", "image/png;x", "IMAGE/png"] {
            assert!(!is_picture(other), "{other}");
        }
    }
}
