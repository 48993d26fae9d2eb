//! Changes that a person asks for.

use time::OffsetDateTime;

use crate::contracts::queue::Entry;
use crate::domain::status::Status;
use crate::domain::transition::Event;

/// What a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Withdraw it.
    Cancel,
    /// Try it again now.
    RetryNow,
    /// Move it to another time; one that has passed means now.
    Reschedule(OffsetDateTime),
}

impl Change {
    /// The event it stands for.
    #[must_use]
    pub fn event(self) -> Event {
        match self {
            Self::Cancel => Event::Cancelled,
            Self::RetryNow => Event::RetriedNow,
            Self::Reschedule(at) => Event::Rescheduled(at),
        }
    }
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It was done; this entry may be pushed if it is due.
    Done {
        /// Where the message stands now.
        status: Status,
        /// Where it waits now.
        entry: Entry,
    },
    /// The state does not allow it.
    NotAllowed(Status),
    /// There is no such message, or it is another tenant's.
    NotFound,
}
