//! How workers learn what is due.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::error_detail::ErrorDetail;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;

/// A hint that a message is due. Nothing about the message lives only here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The lane it waits in.
    pub lane: Lane,
    /// The time it is due, by the store's clock, to the microsecond.
    pub due_at: OffsetDateTime,
    /// The message.
    pub id: MessageId,
}

/// The entries that a pull took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulled {
    /// The lane it is from; `None` when nothing was taken.
    pub lane: Option<Lane>,
    /// The messages, in the order in which they are due.
    pub ids: Vec<MessageId>,
}

impl Pulled {
    /// The ids that were taken from a lane; without any, from none.
    #[must_use]
    pub fn new(lane: Option<Lane>, ids: Vec<MessageId>) -> Self {
        Self { lane: lane.filter(|_| !ids.is_empty()), ids }
    }
}

/// A window on the store's due index: per lane a set of ids ordered by the time they are due.
///
/// It may lose, repeat and reorder entries; the store decides who gets what, and the sweep puts back what is missing.
/// No method waits longer than the bound the implementation was opened with (for `pull`: on top of the time it was
/// asked to wait).
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use mailqueue_core::{Entry, Lane, MessageId, connect};
/// use time::OffsetDateTime;
///
/// let queue = connect::queue(None)?;
/// let now = OffsetDateTime::UNIX_EPOCH;
/// let entry = Entry { lane: Lane::Normal, due_at: now, id: MessageId::new(now) };
/// queue.push(&[entry]).await?;
/// assert_eq!(queue.pull(&[Lane::Normal], 1, Duration::ZERO).await?.ids, [entry.id]);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Adds entries; an id that is there already moves to its new time. Returns how many entries the fullest lane
    /// holds. Entries past the implementation's cap may be left out.
    async fn push(&self, entries: &[Entry]) -> Result<u64, QueueError>;

    /// Takes the first entries of the first of `lanes` that holds any, at most `most` (at least 1), and removes
    /// them. Waits up to `wait` for the first; empty when none came. Pulls side by side do not hold up one another.
    async fn pull(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Pulled, QueueError>;

    /// The smallest due time in a lane; `None` when it is empty.
    async fn head(&self, lane: Lane) -> Result<Option<OffsetDateTime>, QueueError>;

    /// How many entries a lane holds.
    async fn depth(&self, lane: Lane) -> Result<u64, QueueError>;
}

/// The outcome of a call that a queue did not carry out, with its message and, where a driver named one, its source.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum QueueError {
    /// It cannot be reached or did not answer in time.
    Unavailable(ErrorDetail),
    /// It answered that it cannot: out of memory, read-only, wrong password.
    Refused(ErrorDetail),
}

impl QueueError {
    /// Tells whether the same call may succeed later, with nothing changed but time.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    fn parts(&self) -> (&'static str, &ErrorDetail) {
        match self {
            Self::Unavailable(detail) => ("the queue is out of reach", detail),
            Self::Refused(detail) => ("the queue refused", detail),
        }
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outcome, detail) = self.parts();
        write!(f, "{outcome}: {detail}")
    }
}

impl Error for QueueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.parts().1.source()
    }
}
