//! The content of messages that pages show.

use std::fmt;
use std::str::FromStr;

/// The content that pages show to whoever is logged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShownContent {
    /// What became of a message, and nothing of what it says or whom it is for.
    None,
    /// The people and the subject besides, and what relays have answered.
    Headers,
    /// All of it.
    #[default]
    Full,
}

/// The error for a text that names no such content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be full, headers or none")]
pub struct ShownContentError;

impl ShownContent {
    const ALL: [Self; 3] = [Self::None, Self::Headers, Self::Full];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Headers => "headers",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for ShownContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ShownContent {
    type Err = ShownContentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|shown| shown.as_str() == text).ok_or(ShownContentError)
    }
}
