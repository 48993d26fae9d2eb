//! The text part of a message that comes with HTML alone.
//!
//! HTML can be written so that reading it takes far longer than sending it. So it is read beside the requests, by few at
//! once, within a time; what is very long or nested very deeply is not read at all. A message whose
//! text cannot be made goes out with its HTML alone, which is as valid.

use std::panic::catch_unwind;
use std::sync::LazyLock;
use std::time::Duration;

use html2text::config;
use mailqueue_core::Draft;
use mailqueue_core::offload::Offload;
use tokio::time::{Instant, timeout_at};

/// The time for all texts of one request.
const TEXT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest HTML that is read, in octets. Mail readers cut off what is longer than a fifth of it.
const MAX_HTML_OCTETS: usize = 512 << 10;

/// The deepest nesting of elements: tables in tables reach a few dozen, and time grows with the square of it.
const MAX_DEPTH: usize = 256;

/// The longest line of a text, in characters.
const LINE_WIDTH: usize = 76;

/// One seat for each core, so that hostile HTML slows down other HTML and nothing else.
static WORKERS: LazyLock<Offload> = LazyLock::new(Offload::default);

/// Gives a text to each draft that has HTML and no text, not even an empty one.
pub(super) async fn add_texts<'d>(drafts: impl Iterator<Item = &'d mut Draft>) {
    let deadline = Instant::now() + TEXT_TIMEOUT;
    for draft in drafts.filter(|draft| draft.text.is_none()) {
        let Some(html) = draft.html.as_deref().filter(|html| html.len() <= MAX_HTML_OCTETS) else { continue };
        // Copied, because work that is begun goes on after the time is up.
        let html = html.to_owned();
        let made = timeout_at(deadline, async {
            // A panic of the library costs this message its text and no more.
            WORKERS.run(move || catch_unwind(|| text_of(&html)).ok().flatten()).await.ok().flatten()
        });
        draft.text_of_html = made.await.ok().flatten();
    }
}

fn text_of(html: &str) -> Option<String> {
    if depth(html.as_bytes()) > MAX_DEPTH {
        return None;
    }
    let reader = config::plain_no_decorate()
        .link_footnotes(true)
        .raw_mode(true)
        .no_link_wrapping()
        .allow_width_overflow();
    let text = reader.string_from_read(html.as_bytes(), LINE_WIDTH).ok()?;
    // No database keeps NUL.
    Some(text.replace('\0', "")).filter(|text| !text.trim().is_empty())
}

/// The deepest nesting, in one pass. Elements that need no end tag do not count.
fn depth(html: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for start in memchr::memchr_iter(b'<', html) {
        let tag = &html[start + 1..html.len().min(start + 12)];
        if tag.first() == Some(&b'/') {
            depth = depth.saturating_sub(usize::from(!needs_no_end(&tag[1..])));
        } else if tag.first().is_some_and(u8::is_ascii_alphabetic) && !needs_no_end(tag) {
            depth += 1;
            deepest = deepest.max(depth);
        }
    }
    deepest
}

fn needs_no_end(tag: &[u8]) -> bool {
    const NAMES: [&[u8]; 25] = [
        b"area", b"base", b"body", b"br", b"col", b"dd", b"dt", b"embed", b"head", b"hr", b"html", b"img",
        b"input", b"li", b"link", b"meta", b"option", b"p", b"source", b"tbody", b"td", b"th", b"thead",
        b"tr", b"wbr",
    ];
    let length = tag.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    NAMES.iter().any(|name| tag[..length].eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_as_tags_stand_there() {
        assert_eq!(depth(b"a < b <br><BR/><p>x<p>y<img src=x>"), 0);
        assert_eq!(depth(b"<div><table><tr><td><b>x</b></table></div><i>y</i>"), 3);
        assert_eq!(depth(b"</div></div><div>"), 1);
        assert_eq!(depth("<font>".repeat(1000).as_bytes()), 1000);
    }
}
