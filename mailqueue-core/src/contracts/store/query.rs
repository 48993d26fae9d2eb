//! Lists of messages: filters and pages.

use time::OffsetDateTime;

use crate::contracts::store::StoreError;
use crate::domain::address::Address;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::record::{PartialRecord, Record};
use crate::domain::status::Status;

/// The choice of messages for a list.
///
/// ```
/// use mailqueue_core::{Filter, Status};
///
/// let failed = Filter { status: Some(Status::Failed), limit: 50, ..Filter::default() };
/// assert_eq!(failed.tenant, None, "the messages of all tenants");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only this tenant's.
    pub tenant: Option<String>,
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those with this recipient, an address as it was given.
    pub to: Option<String>,
    /// Only those whose From address is this one.
    pub from: Option<String>,
    /// Only those whose subject contains this, whatever its case.
    pub subject: Option<String>,
    /// Only those with a tag of this name, and of this value where one is given.
    pub tag: Option<(String, Option<String>)>,
    /// Only those in this lane.
    pub lane: Option<Lane>,
    /// Only those accepted at this time or later, by the time in their id.
    pub accepted_from: Option<OffsetDateTime>,
    /// Only those accepted before this time, likewise.
    pub accepted_before: Option<OffsetDateTime>,
    /// The start of the page.
    pub cursor: Cursor,
    /// How many at most. A page of none says nothing of what follows.
    pub limit: usize,
}

impl Filter {
    /// The most messages that one page looks at for what no index tells: a text in a subject, or a status that most
    /// messages have.
    pub const SEARCHED: usize = 5000;

    /// The same among the messages of one recipient, which lie apart in the store.
    pub const SEARCHED_OF_RECIPIENT: usize = 200;

    /// The same choice with its addresses as stores keep them: the domain in lower case and as A-labels. `None` where one is
    /// no address, which no message has.
    #[must_use]
    pub fn as_kept(self) -> Option<Self> {
        let kept = |address: Option<String>| -> Option<Option<String>> {
            address.map(|address| address.parse::<Address>().map(String::from)).transpose().ok()
        };
        let (to, from) = (kept(self.to)?, kept(self.from)?);
        Some(Self { to, from, ..self })
    }

    /// The bounds of the ids: from the first one on, and below the second one.
    #[must_use]
    pub fn ids(&self) -> (Option<MessageId>, Option<MessageId>) {
        (self.accepted_from.map(MessageId::first_at), self.accepted_before.map(MessageId::first_at))
    }

    /// How many messages a page looks at where it may not show all of them; `None` where it shows what it finds.
    #[must_use]
    pub fn searched(&self) -> Option<usize> {
        let is_search = self.common_status().is_some()
            || self.from.is_some()
            || self.subject.is_some()
            || self.tag.is_some()
            || self.lane.is_some();
        let (is_search, most) = match self.to {
            None => (is_search, Self::SEARCHED),
            Some(_) => (is_search || self.tenant.is_some(), Self::SEARCHED_OF_RECIPIENT),
        };
        is_search.then(|| most.max(Page::rows_for(self.limit)))
    }

    /// The status, where few messages have it, so that a store finds them without looking at the others. `None` for one
    /// tenant or one recipient: most of those few may be others'.
    #[must_use]
    pub fn rare_status(&self) -> Option<Status> {
        let is_rare = |status: &Status| !matches!(status, Status::Queued | Status::Sent);
        self.status.filter(|status| self.tenant.is_none() && self.to.is_none() && is_rare(status))
    }

    /// The status, where it is left to look for it message by message.
    #[must_use]
    pub fn common_status(&self) -> Option<Status> {
        self.status.filter(|_| self.rare_status().is_none())
    }
}

impl Default for Filter {
    /// The 20 newest.
    fn default() -> Self {
        Self {
            tenant: None,
            status: None,
            to: None,
            from: None,
            subject: None,
            tag: None,
            lane: None,
            accepted_from: None,
            accepted_before: None,
            cursor: Cursor::Newest,
            limit: 20,
        }
    }
}

/// The start of a page in the order of ids, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// At the newest message.
    Newest,
    /// After this message: older ones.
    After(MessageId),
    /// Right before this message: newer ones.
    Before(MessageId),
}

impl Cursor {
    /// Tells whether rows are read oldest first, towards newer messages.
    #[must_use]
    pub fn is_backwards(self) -> bool {
        matches!(self, Self::Before(_))
    }
}

/// A message in a list, without bodies; or, where it cannot be read, its partial record and the reason.
pub type Listed = Result<Record, (PartialRecord, StoreError)>;

/// A page of messages, newest first.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The messages. One that cannot be read keeps no other from being listed.
    pub records: Vec<Listed>,
    /// More messages follow in the direction asked for, or may: a page looks at [`Filter::searched`] messages at most, and
    /// can be short or empty although there are more.
    pub has_more: bool,
    /// The id to go on from while more follow: that of the last message of the page, or the last one looked at.
    pub next: Option<MessageId>,
}

impl Page {
    /// How many rows to read for a page of at most `limit` messages: one more, which tells whether more follow.
    #[must_use]
    pub fn rows_for(limit: usize) -> usize {
        limit.saturating_add(1)
    }

    /// A page of the rows that were read, at most [`rows_for`](Self::rows_for) of them, in the order of `cursor`.
    ///
    /// # Errors
    ///
    /// The first error of `listed`, which reads one row.
    pub fn from_rows<R, E>(
        mut rows: Vec<R>,
        cursor: Cursor,
        limit: usize,
        listed: impl FnMut(R) -> Result<Listed, E>,
    ) -> Result<Self, E> {
        // A page of none has no last message to go on from.
        let has_more = limit > 0 && rows.len() > limit;
        rows.truncate(limit);
        if cursor.is_backwards() {
            // Read oldest first, so that the limit keeps the rows next to the cursor.
            rows.reverse();
        }
        let records = rows.into_iter().map(listed).collect::<Result<_, _>>()?;
        let mut page = Self { records, has_more, next: None };
        if has_more {
            page.next = if cursor.is_backwards() { page.ids().next() } else { page.ids().last() };
        }
        Ok(page)
    }

    /// The same page after which the search goes on from `last`, the last message looked at; `None` when there were no
    /// more to look at.
    #[must_use]
    pub fn searched_to(self, last: Option<MessageId>) -> Self {
        if self.has_more || last.is_none() { self } else { Self { has_more: true, next: last, ..self } }
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.records.iter().map(|listed| match listed {
            Ok(record) => record.id,
            Err((partial, _)) => partial.id,
        })
    }

    /// The messages that can be read, in order.
    pub fn readable(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter_map(|listed| listed.as_ref().ok())
    }
}
