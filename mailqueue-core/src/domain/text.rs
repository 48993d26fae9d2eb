//! Rules for single lines of text that end up in a header.

use super::bidi;

/// Refuses what a header line may not hold: control characters (so no line can be added) and bidi controls.
pub(crate) fn check_line(text: &str) -> Result<(), String> {
    check_controls(text)?;
    if text.chars().any(bidi::is_control) {
        return Err("must not contain bidirectional control characters".into());
    }
    Ok(())
}

/// The same for a line that people write and read, a subject or a name: there bidi marks are fine, and isolates and
/// embeddings that are closed again.
pub(crate) fn check_prose(text: &str) -> Result<(), String> {
    check_controls(text)?;
    if !bidi::are_contained(text) {
        return Err("must close every bidirectional isolate it opens and must not override directions".into());
    }
    Ok(())
}

fn check_controls(text: &str) -> Result<(), String> {
    // U+2028 and U+2029 are no control characters, yet some readers break lines there.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("must not contain line breaks or control characters".into());
    }
    Ok(())
}

/// `text` when it fits `limit` octets (the longest header value RFC 5322 lets a line carry is 998).
pub(crate) fn check_length(text: &str, limit: usize) -> Result<(), String> {
    if text.len() > limit {
        return Err(format!("must be at most {limit} octets long"));
    }
    Ok(())
}
