//! The record of a message, as it is read back.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::address::Mailbox;
use super::attachment::AttachmentSummary;
use super::delivery::Delivery;
use super::header::Header;
use super::id::MessageId;
use super::lane::Lane;
use super::message::{Message, Tag};
use super::status::Status;

/// A message and its delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: MessageId,
    /// Its tenant; empty where there are no tenants.
    pub tenant: String,
    /// The time it was accepted, by the store's clock.
    pub created_at: OffsetDateTime,
    /// The time it was submitted for, or last moved to; `None` was at once.
    pub scheduled_at: Option<OffsetDateTime>,
    /// The message as it was submitted.
    pub summary: Summary,
    /// The text part; `None` as well in lists and once it was pruned.
    pub text: Option<String>,
    /// The HTML part; likewise.
    pub html: Option<String>,
    /// The message as it is sent; likewise.
    pub raw: Option<Vec<u8>>,
    /// The lane it waits in.
    pub lane: Lane,
    /// The time it is due, or was last.
    pub due_at: OffsetDateTime,
    /// The time it first came to its end; a later result does not change it.
    pub finished_at: Option<OffsetDateTime>,
    /// Its status.
    pub delivery: Delivery,
}

/// The message as it was submitted, without bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The subject.
    pub subject: String,
    /// Everyone it names.
    pub people: Participants,
    /// Further headers.
    pub headers: Vec<Header>,
    /// Names to find it by.
    pub tags: Vec<Tag>,
    /// Its files.
    pub attachments: Vec<AttachmentSummary>,
}

/// Everyone a message names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participants {
    /// The sender.
    pub from: Mailbox,
    /// The recipients.
    pub to: Vec<Mailbox>,
    /// The recipients of a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<Mailbox>,
    /// The recipients of a copy that no other recipient sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<Mailbox>,
    /// The addresses for answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<Mailbox>,
}

impl Participants {
    /// Those a message names.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self {
            from: message.from.clone(),
            to: message.to.clone(),
            cc: message.cc.clone(),
            bcc: message.bcc.clone(),
            reply_to: message.reply_to.clone(),
        }
    }
}

/// The readable part of a message whose record makes no sense to this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialRecord {
    /// Its id.
    pub id: MessageId,
    /// The time it was accepted, by the store's clock.
    pub created_at: OffsetDateTime,
    /// Its subject.
    pub subject: String,
    /// Its status; unknown when even that makes no sense.
    pub status: Status,
    /// The lane it waits in; normal when that makes no sense.
    pub lane: Lane,
    /// The time it is due, or was last.
    pub due_at: OffsetDateTime,
}
