//! Lists of messages: what can be asked for, and what comes back.

use crate::contracts::store::StoreError;
use crate::domain::id::MessageId;
use crate::domain::record::{Outline, Record};
use crate::domain::status::Status;

/// Which messages to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only this tenant's.
    pub tenant: Option<String>,
    /// Only those that stand there.
    pub status: Option<Status>,
    /// Only those with this recipient, an address as it was given.
    pub to: Option<String>,
    /// Only those whose subject contains this, whatever its case.
    pub subject: Option<String>,
    /// Where the page begins.
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

/// Where a page begins in the order of ids, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// At the newest message.
    Newest,
    /// After this message: older ones.
    After(MessageId),
    /// Right before this message: newer ones.
    Before(MessageId),
}

/// A message in a list: without bodies, or what can be said of it and why that is all.
pub type Listed = Result<Record, (Outline, StoreError)>;

/// A page of messages, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The messages. One that cannot be read keeps no other from being listed.
    pub records: Vec<Listed>,
    /// Whether more follow in the direction asked for.
    pub has_more: bool,
}

impl Page {
    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.records.iter().map(|listed| match listed {
            Ok(record) => record.id,
            Err((outline, _)) => outline.id,
        })
    }

    /// The messages that can be read, in order.
    pub fn readable(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter_map(|listed| listed.as_ref().ok())
    }
}
