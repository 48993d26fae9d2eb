//! The order in which messages are served.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A lane of the queue. While several hold messages that are due they share what is sent by
/// [weight](super::round_robin::LaneWeights), so that none starves.
///
/// ```
/// use mailqueue_core::Lane;
///
/// assert_eq!("bulk".parse(), Ok(Lane::Bulk));
/// assert_eq!(Lane::default().as_str(), "normal");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Somebody waits for it: sign-in codes, password resets.
    Urgent,
    /// Everything that says nothing else.
    #[default]
    Normal,
    /// Newsletters, digests.
    Bulk,
}

/// The error for a text that names no lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be urgent, normal or bulk")]
pub struct LaneError;

impl Lane {
    /// All lanes, the first served first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Normal, Self::Bulk];

    /// The lane's name as stores, queues and logs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = LaneError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == text).ok_or(LaneError)
    }
}
