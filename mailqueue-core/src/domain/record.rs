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

/// A message and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: MessageId,
    /// Whose it is; empty where there are no tenants.
    pub tenant: String,
    /// When it was accepted, by the store's clock.
    pub created_at: OffsetDateTime,
    /// The time it was submitted for, or last moved to; `None` was at once.
    pub scheduled_at: Option<OffsetDateTime>,
    /// What was asked for.
    pub summary: Summary,
    /// The text part; `None` as well in lists and once it was pruned.
    pub text: Option<String>,
    /// The HTML part; likewise.
    pub html: Option<String>,
    /// The message as it is sent; likewise.
    pub raw: Option<Vec<u8>>,
    /// The lane it waits in.
    pub lane: Lane,
    /// When it is due, or was last.
    pub due_at: OffsetDateTime,
    /// When it came to its end: the first time, whatever came out about it later.
    pub finished_at: Option<OffsetDateTime>,
    /// Where it stands.
    pub delivery: Delivery,
}

/// What was asked for, without bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The subject.
    pub subject: String,
    /// Everyone it names.
    pub people: People,
    /// Further headers.
    pub headers: Vec<Header>,
    /// Names to find it by.
    pub tags: Vec<Tag>,
    /// Its files.
    pub attachments: Vec<AttachmentSummary>,
}

/// Everyone a message names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// Who it is from.
    pub from: Mailbox,
    /// Who it is to.
    pub to: Vec<Mailbox>,
    /// Who gets a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<Mailbox>,
    /// Who gets a copy without being named in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<Mailbox>,
    /// Where answers go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<Mailbox>,
}

impl People {
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

/// What can be said of a message whose record makes no sense to this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted, by the store's clock.
    pub created_at: OffsetDateTime,
    /// Its subject.
    pub subject: String,
    /// Where it stands; unknown when even that makes no sense.
    pub status: Status,
    /// The lane it waits in; normal when that makes no sense.
    pub lane: Lane,
    /// When it is due, or was last.
    pub due_at: OffsetDateTime,
}
