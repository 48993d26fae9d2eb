//! Questions for messages that are due.

use time::OffsetDateTime;

use crate::domain::lane::Lane;

/// A page of the messages of one lane that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRange {
    /// The lane.
    pub lane: Lane,
    /// Only those due before this; `None`: all that are due by now.
    pub before: Option<OffsetDateTime>,
    /// How many at most.
    pub limit: usize,
}
