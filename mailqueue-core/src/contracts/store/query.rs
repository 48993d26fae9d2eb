//! Lists of messages: filters and pages.

use crate::contracts::store::StoreError;
use crate::domain::id::MessageId;
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
    /// Only those whose subject contains this, whatever its case.
    pub subject: Option<String>,
    /// The start of the page.
    pub cursor: Cursor,
    /// How many at most.
    pub limit: usize,
}

impl Default for Filter {
    /// The 20 newest.
    fn default() -> Self {
        Self { tenant: None, status: None, to: None, subject: None, cursor: Cursor::Newest, limit: 20 }
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
#[derive(Debug, Clone)]
pub struct Page {
    /// The messages. One that cannot be read keeps no other from being listed.
    pub records: Vec<Listed>,
    /// More messages follow in the direction asked for.
    pub has_more: bool,
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
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        if cursor.is_backwards() {
            // Read oldest first, so that the limit keeps the rows next to the cursor.
            rows.reverse();
        }
        Ok(Self { records: rows.into_iter().map(listed).collect::<Result<_, _>>()?, has_more })
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
