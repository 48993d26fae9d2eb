//! Custom headers.

use serde::{Deserialize, Serialize};

use super::{field, text};

/// The longest value, in octets: one word of it can stand on a line (RFC 5322 section 2.1.1) behind a space.
const VALUE_LIMIT: usize = field::MAX_WORD_OCTETS;

/// A header that a submitter adds. Only names that cannot change who gets the message or what it says it is are
/// allowed: `X-*`, `List-*`, `References`, `In-Reply-To`, `Auto-Submitted`, `Precedence`, `Importance`, `Feedback-ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The name, within RFC 5322's `ftext`.
    pub name: String,
    /// The value, one line.
    pub value: String,
}

impl Header {
    /// Checks a header.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn new(name: &str, value: &str) -> Result<Self, String> {
        check_name(name)?;
        text::check_line(value)?;
        text::check_length(value, VALUE_LIMIT)?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }

    /// True if people read it: `X-*`. The others have a grammar in which only white space may change.
    #[must_use]
    pub(super) fn is_free_text(&self) -> bool {
        self.name.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-"))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_ftext = |b: u8| (33..=126).contains(&b) && b != b':';
    if name.is_empty() || name.len() > 76 || !name.bytes().all(is_ftext) {
        return Err("must have a name of 1 to 76 printable ASCII characters without colon or space".into());
    }
    let lower = name.to_ascii_lowercase();
    let by_prefix =
        ["x-", "list-"].iter().any(|prefix| lower.starts_with(prefix) && lower.len() > prefix.len());
    let by_name = ["references", "in-reply-to", "auto-submitted", "precedence", "importance", "feedback-id"];
    if by_prefix || by_name.contains(&lower.as_str()) {
        return Ok(());
    }
    let names = "X-*, List-*, References, In-Reply-To, Auto-Submitted, Precedence, Importance or Feedback-ID";
    Err(format!("must be named {names}"))
}
