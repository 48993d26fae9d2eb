//! The health of a relay, as a transport knows it.

use serde::{Deserialize, Serialize};

use crate::domain::report::RelayFault;

/// The use that is made of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayPhase {
    /// It is used.
    Closed,
    /// It is left alone after a fault.
    Open,
    /// One message finds out whether it can be used again.
    HalfOpen,
}

impl RelayPhase {
    /// The word used in answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The health of a relay. Nothing in it belongs to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayHealth {
    /// Its host and port, without credentials: `mail.example.com:587`.
    pub name: String,
    /// The use that is made of it.
    pub phase: RelayPhase,
    /// True while an operator has paused it.
    pub is_paused: bool,
    /// The number of messages that use it.
    pub in_use: usize,
    /// The number of messages that may use it at once now.
    pub allowed: usize,
    /// Its last fault, if there was one since this process began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<LastFault>,
}

/// A fault of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFault {
    /// Its kind.
    pub fault: RelayFault,
    /// The SMTP reply code, if an answer was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Its age in seconds.
    pub age_s: u64,
}
