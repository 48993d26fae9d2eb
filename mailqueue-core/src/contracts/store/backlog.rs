//! What waits in a store, and whether it takes writes.

use time::OffsetDateTime;

/// A write that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The store's time.
    pub now: OffsetDateTime,
    /// Whether there is space for new messages, as far as is known. What is there can be sent and written down
    /// either way.
    pub has_space: bool,
}

/// How much is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// The store's time.
    pub now: OffsetDateTime,
    /// Messages queued, due or not; as many as were to be counted means at least so many.
    pub queued: u64,
    /// The size of those counted as they will be sent, in octets.
    pub octets: u64,
    /// Messages leased.
    pub sending: u64,
    /// When the longest waiting message was due; `None` when none is due yet.
    pub oldest_due: Option<OffsetDateTime>,
}
