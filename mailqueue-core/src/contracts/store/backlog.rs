//! The backlog of a store, and proof that it takes writes.

use time::OffsetDateTime;

/// A write that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The store's time.
    pub now: OffsetDateTime,
    /// There is space for new messages, as far as is known. Messages that are there can be sent and settled
    /// either way.
    pub has_space: bool,
    /// A lease ran out before `now`.
    pub has_lapsed_lease: bool,
}

/// The number and size of the messages that wait.
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
    /// The due time of the longest waiting message; `None` when none is due yet.
    pub oldest_due: Option<OffsetDateTime>,
}
