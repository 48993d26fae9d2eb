//! The status of a message or of one of its recipients.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The status of a message. The last four are final: nothing but an operator's retry, or a success that is
/// reported late, ever changes them.
///
/// ```
/// use mailqueue_core::Status;
///
/// assert_eq!("sent".parse(), Ok(Status::Sent));
/// assert!(Status::Unknown.is_final() && !Status::Queued.is_final());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted and waiting until it is due.
    Queued,
    /// A worker holds its lease.
    Sending,
    /// At least one recipient's server took it, and no recipient is waiting any more.
    Sent,
    /// No recipient's server took it, and none can have.
    Failed,
    /// Withdrawn before anything was sent.
    Cancelled,
    /// It may have been sent, and will not be tried again by itself.
    Unknown,
}

/// The error for a text that names no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be queued, sending, sent, failed, cancelled or unknown")]
pub struct StatusError;

impl Status {
    /// All statuses, in the order a message meets them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Sending, Self::Sent, Self::Failed, Self::Cancelled, Self::Unknown];

    /// The word that stands in the `status` column and in every answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// True if the message has come to its end.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sending)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(StatusError)
    }
}
