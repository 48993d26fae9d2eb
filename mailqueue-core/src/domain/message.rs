//! A message that may be accepted.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::address::{Address, Mailbox};
use super::attachment::Attachment;
use super::header::Header;
use super::lane::Lane;

/// A name and a value that a submitter finds its messages by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// 1 to 256 ASCII letters, digits, `_` or `-`.
    pub name: String,
    /// Likewise.
    pub value: String,
}

/// A message whose every field has been checked: only [`Draft::check`](super::draft::Draft::check) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The sender, to whom bounces go as well.
    pub from: Mailbox,
    /// The recipients.
    pub to: Vec<Mailbox>,
    /// Recipients of a copy.
    pub cc: Vec<Mailbox>,
    /// Recipients of a copy that no field names.
    pub bcc: Vec<Mailbox>,
    /// The addresses for answers.
    pub reply_to: Vec<Mailbox>,
    /// The subject, one line.
    pub subject: String,
    /// The text part.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
    /// Further headers.
    pub headers: Vec<Header>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// Names to find it by; not sent.
    pub tags: Vec<Tag>,
    /// The time at which it is to be sent; `None` is at once.
    pub scheduled_at: Option<OffsetDateTime>,
    /// The lane it waits in.
    pub lane: Lane,
}

impl Message {
    /// Everyone the envelope names, each once, in the order of to, cc, bcc.
    #[must_use]
    pub fn envelope(&self) -> Vec<Address> {
        let mut envelope: Vec<Address> = Vec::with_capacity(self.to.len());
        for mailbox in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            // A scan is cheap, because `Limits` allows some dozens of recipients.
            if !envelope.contains(&mailbox.address) {
                envelope.push(mailbox.address.clone());
            }
        }
        envelope
    }

    /// True if only a server that offers SMTPUTF8 (RFC 6531) can take it.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        let named = self.to.iter().chain(&self.cc).chain(&self.bcc).chain(&self.reply_to);
        std::iter::once(&self.from).chain(named).any(|mailbox| mailbox.address.needs_smtputf8())
    }
}
