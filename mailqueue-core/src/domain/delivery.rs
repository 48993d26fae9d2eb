//! The state of a message on its way out: all of it that ever changes.

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::attempt::Attempt;
use super::recipient::{Recipient, RecipientStatus};
use super::status::Status;

/// The state of one message's delivery. It changes only by [`transition::decide`](super::transition::decide).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The status of the message.
    pub status: Status,
    /// The number of attempts that have been begun and counted.
    pub attempt: u32,
    /// The number of leases in a row that ran out without a result.
    pub lost_leases: u32,
    /// True if the final dot may have been sent under the lease that is held now.
    pub dot_allowed: bool,
    /// Every recipient of the envelope.
    pub recipients: Vec<Recipient>,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

impl Delivery {
    /// A delivery to these recipients, queued.
    #[must_use]
    pub fn new(recipients: impl IntoIterator<Item = Address>) -> Self {
        Self {
            status: Status::Queued,
            attempt: 0,
            lost_leases: 0,
            dot_allowed: false,
            recipients: recipients.into_iter().map(Recipient::new).collect(),
            attempts: Vec::new(),
        }
    }

    /// True if a copy may be out whose fate is not known.
    #[must_use]
    pub fn maybe_sent(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.maybe_sent)
    }

    /// The recipients that the next attempt is for.
    pub fn pending(&self) -> impl Iterator<Item = &Recipient> {
        self.recipients.iter().filter(|recipient| recipient.is_pending())
    }

    /// The status that follows from the recipients alone: queued while one is pending; otherwise a success wins, then
    /// doubt, then a withdrawal.
    pub(super) fn settled_status(&self) -> Status {
        let any = |status| self.recipients.iter().any(|recipient| recipient.status == status);
        match () {
            () if any(RecipientStatus::Queued) => Status::Queued,
            () if any(RecipientStatus::Sent) => Status::Sent,
            () if any(RecipientStatus::Unknown) => Status::Unknown,
            () if any(RecipientStatus::Cancelled) => Status::Cancelled,
            () => Status::Failed,
        }
    }
}
