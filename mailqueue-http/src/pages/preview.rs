//! The HTML of a message as a browser can show it by itself.

use mailqueue_core::domain::attachment::AttachmentSummary;
use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::rendered_file::encoded_file;
use percent_encoding::percent_decode_str;

use crate::wire::offload::offload;
use crate::wire::problem::Problem;

/// The most octets of pictures that are put into the HTML, as base64. Further ones stay away.
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
    let octets = octets(&files);
    let with_pictures = move || PREFIX.to_owned() + &Pictures::of(&raw, &files).put_into(&html);
    Ok(Some(offload(octets, with_pictures).await?))
}

fn octets(files: &[AttachmentSummary]) -> usize {
    files.iter().map(|file| usize::try_from(file.size).unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
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
        let mut rest = html;
        // Case is kept by the text and ignored by the scheme.
        while let Some(at) =
            rest.as_bytes().windows(4).position(|window| window.eq_ignore_ascii_case(b"cid:"))
        {
            let (before, address) = rest.split_at(at);
            shown.push_str(before);
            let end = address.find(['"', '\'', ' ', '>', ')']).unwrap_or(address.len());
            let id = percent_decode_str(&address[4..end]).decode_utf8_lossy();
            match self.0.iter().find(|(known, _)| *known == id) {
                Some((_, data)) => shown.push_str(data),
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
    fn only_types_of_pictures_are_put_in() {
        assert!(is_picture("image/png") && is_picture("image/svg+xml"));
        for other in ["image/", "text/html", "image/png\"><script>", "image/png;x", "IMAGE/png"] {
            assert!(!is_picture(other), "{other}");
        }
    }
}
