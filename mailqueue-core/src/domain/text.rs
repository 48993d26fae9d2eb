//! Rules for single lines of text that end up in a header.

/// Explicit directional formatting (Unicode TR 9, section 2): they make a line look like another one.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}')
}

/// Refuses what a header line may not hold: control characters (so no line can be added) and bidi controls.
pub(crate) fn check_line(text: &str) -> Result<(), String> {
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("must not contain line breaks or control characters".into());
    }
    if text.chars().any(is_bidi_control) {
        return Err("must not contain bidirectional control characters".into());
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
