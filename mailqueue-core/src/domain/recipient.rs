//! One recipient of a message and its outcome.

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::report::Reply;

/// The status of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientStatus {
    /// Not settled yet: the next attempt is for this recipient too.
    Queued,
    /// A server took the message for this recipient.
    Sent,
    /// Refused for good, or given up, and certainly not delivered.
    Failed,
    /// Withdrawn before it was sent.
    Cancelled,
    /// It may have been delivered and will not be tried again by itself.
    Unknown,
}

/// A recipient of the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The recipient's address.
    pub address: Address,
    /// The outcome so far.
    pub status: RecipientStatus,
    /// True if an attempt ended with its outcome lost, so that a copy may be out already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maybe_sent: bool,
    /// The last answer about this recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

impl Recipient {
    /// A recipient nothing has been tried for.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address, status: RecipientStatus::Queued, maybe_sent: false, reply: None }
    }

    /// True if the next attempt is for this recipient too.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.status == RecipientStatus::Queued
    }
}
