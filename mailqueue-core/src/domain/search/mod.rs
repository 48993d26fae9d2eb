//! Searches for messages, as people write them.

mod error;
mod moment;
mod parse;
mod qualifier;

pub use self::error::SearchError;
pub use self::qualifier::QUALIFIERS;

use time::OffsetDateTime;

use super::address::Address;
use super::id::MessageId;
use super::lane::Lane;
use super::reason::Reason;
use super::record::Record;
use super::status::Status;

/// A choice of messages: those that have all that is asked for.
///
/// It is read from words such as `status:failed reason:dns to:ana@example.org "your order"`. A qualifier and its value
/// stand together; a value with a space stands in quotes, in which `\"` is a quote. Words without a qualifier are looked for in the subject. `before:` and
/// `after:` take a date (midnight UTC), a time with its zone, or an age such as `2h`.
///
/// ```
/// use mailqueue_core::domain::search::Search;
/// use mailqueue_core::Status;
/// use time::OffsetDateTime;
///
/// let search = Search::parse(r#"status:failed subject:"your order""#, OffsetDateTime::UNIX_EPOCH)?;
/// assert_eq!((search.status, search.subject.as_deref()), (Some(Status::Failed), Some("your order")));
/// assert!(Search::parse("state:failed", OffsetDateTime::UNIX_EPOCH).is_err());
/// # Ok::<(), mailqueue_core::domain::search::SearchError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The only message.
    pub id: Option<MessageId>,
    /// A recipient: an address, or `@` and a domain.
    pub to: Option<String>,
    /// The sender, likewise.
    pub from: Option<String>,
    /// A part of the subject, whatever its case.
    pub subject: Option<String>,
    /// The status.
    pub status: Option<Status>,
    /// The name of a tag, and its value where that counts: `tag:order` or `tag:order=42`.
    pub tag: Option<(String, Option<String>)>,
    /// The lane.
    pub lane: Option<Lane>,
    /// Accepted before this time.
    pub before: Option<OffsetDateTime>,
    /// Accepted at this time or later.
    pub after: Option<OffsetDateTime>,
    /// The reason why its last attempt did not succeed.
    pub reason: Option<Reason>,
}

impl Search {
    /// True if it chooses every message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True if a message has all that is asked for.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let people = &record.summary.people;
        let last = record.delivery.attempts.last();
        let is_reason = |reason| last.and_then(Reason::of_attempt) == Some(reason);
        let mut recipients = people.to.iter().chain(&people.cc).chain(&people.bcc);
        is_or_any(self.id, record.id)
            && is_or_any(self.status, record.delivery.status)
            && is_or_any(self.lane, record.lane)
            && self.before.is_none_or(|before| record.created_at < before)
            && self.after.is_none_or(|after| record.created_at >= after)
            && self.reason.is_none_or(is_reason)
            && self.to.as_deref().is_none_or(|to| recipients.any(|mailbox| names(to, &mailbox.address)))
            && self.from.as_deref().is_none_or(|from| names(from, &people.from.address))
            && self.subject.as_deref().is_none_or(|subject| contains(&record.summary.subject, subject))
            && self.has_tag(record)
    }

    fn has_tag(&self, record: &Record) -> bool {
        let Some((name, value)) = &self.tag else { return true };
        record
            .summary
            .tags
            .iter()
            .any(|tag| tag.name == *name && value.as_ref().is_none_or(|value| tag.value == *value))
    }
}

fn is_or_any<T: PartialEq>(wanted: Option<T>, found: T) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

/// True if `wanted`, an address or `@` and a domain, names this one. Case counts in neither.
fn names(wanted: &str, address: &Address) -> bool {
    match wanted.strip_prefix('@') {
        Some(domain) => domain.eq_ignore_ascii_case(address.domain()),
        None => wanted.to_lowercase() == address.as_str().to_lowercase(),
    }
}

fn contains(text: &str, wanted: &str) -> bool {
    text.to_lowercase().contains(&wanted.to_lowercase())
}
