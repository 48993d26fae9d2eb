//! Messages that are submitted together, and the outcome.

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::domain::id::MessageId;
use crate::domain::message::Message;

/// Messages that are kept together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// At least one.
    pub messages: Vec<NewMessage>,
    /// The key that makes repeating it harmless.
    pub idempotency: Option<Idempotency>,
}

impl Submission {
    /// The size of what is kept, in octets.
    #[must_use]
    pub fn size(&self) -> usize {
        self.messages.iter().map(|new| new.raw.len()).sum()
    }

    /// The latest time that one of its messages is scheduled for; `None` when all are to be sent at once.
    #[must_use]
    pub fn latest_schedule(&self) -> Option<OffsetDateTime> {
        self.messages.iter().filter_map(|new| new.message.scheduled_at).max()
    }

    /// The ids of its messages.
    #[must_use]
    pub fn ids(&self) -> Vec<MessageId> {
        self.messages.iter().map(|new| new.id).collect()
    }
}

/// A message ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// Its tenant; empty where there are no tenants.
    pub tenant: String,
    /// The message as it was submitted.
    pub message: Message,
    /// The message as it will be sent.
    pub raw: Bytes,
}

/// Makes repeating a submission harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The tenant that the key belongs to.
    pub tenant: String,
    /// The key the submitter chose.
    pub key: String,
    /// A hash of all that was submitted.
    pub fingerprint: [u8; 32],
    /// How long the key is remembered.
    pub keep: Duration,
}

/// The outcome of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is kept.
    Stored,
    /// The same had been submitted before, under these ids; nothing was added.
    Replayed(Vec<MessageId>),
    /// Something else had been submitted with this idempotency key; nothing was added.
    KeyReused,
}
