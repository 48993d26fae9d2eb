//! Explicit directional formatting (Unicode TR 9, section 2), which can make a line look like another one.

const ALM: char = '\u{061C}';
const LRM: char = '\u{200E}';
const RLM: char = '\u{200F}';
const LRE: char = '\u{202A}';
const RLE: char = '\u{202B}';
const PDF: char = '\u{202C}';
const LRO: char = '\u{202D}';
const RLO: char = '\u{202E}';
const LRI: char = '\u{2066}';
const RLI: char = '\u{2067}';
const FSI: char = '\u{2068}';
const PDI: char = '\u{2069}';

/// True if a character only tells in which direction others are shown.
pub(super) fn is_control(c: char) -> bool {
    matches!(c, ALM | LRM | RLM | LRE..=RLO | LRI..=PDI)
}

/// True if what a text says about directions ends with it and reverses nothing: no override, and each isolate and
/// embedding closed in its turn. Whatever stands around such a text is shown as if it were not there.
pub(super) fn are_contained(text: &str) -> bool {
    let mut open = Vec::new();
    for c in text.chars() {
        let closed = match c {
            LRO | RLO => false,
            LRE | RLE => {
                open.push(PDF);
                true
            }
            LRI | RLI | FSI => {
                open.push(PDI);
                true
            }
            PDF | PDI => open.pop() == Some(c),
            _ => true,
        };
        if !closed {
            return false;
        }
    }
    open.is_empty()
}
