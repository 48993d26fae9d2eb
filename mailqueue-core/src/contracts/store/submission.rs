//! Messages handed in together, and what became of them.

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
    /// What makes repeating it harmless.
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
    /// Whose it is; empty where there are no tenants.
    pub tenant: String,
    /// What was asked for.
    pub message: Message,
    /// What will be sent.
    pub raw: Bytes,
}

/// Makes repeating a submission harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose key it is.
    pub tenant: String,
    /// The key the submitter chose.
    pub key: String,
    /// A hash of all that was submitted.
    pub fingerprint: [u8; 32],
    /// How long the key is remembered.
    pub keep: Duration,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is kept.
    Stored,
    /// The same had been submitted before, under these ids; nothing was added.
    Replayed(Vec<MessageId>),
    /// Something else had been submitted with this idempotency key; nothing was added.
    KeyReused,
}
