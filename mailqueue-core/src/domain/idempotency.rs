//! The key of a submission that may be repeated.

use std::fmt;
use std::str::FromStr;

/// A key under which the same submission is accepted once, for one message as for many: 1 to 256 printable ASCII
/// characters.
///
/// ```
/// use mailqueue_core::IdempotencyKey;
///
/// let key: IdempotencyKey = "order-42".parse()?;
/// assert_eq!(key.as_str(), "order-42");
/// assert!("".parse::<IdempotencyKey>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// The error for a text that is no idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 256 printable ASCII characters")]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// The key as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = IdempotencyKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_printable = |b: u8| b.is_ascii_graphic() || b == b' ';
        let is_key = (1..=256).contains(&text.len()) && text.bytes().all(is_printable);
        is_key.then(|| Self(text.to_owned())).ok_or(IdempotencyKeyError)
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
