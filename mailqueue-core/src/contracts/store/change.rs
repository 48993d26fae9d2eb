//! Changes that a person asks for.

use time::OffsetDateTime;

use crate::contracts::queue::Entry;
use crate::domain::status::Status;
use crate::domain::transition::Event;

/// A change that a person can ask for.
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

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The change was made; the entry may be pushed if it is due.
    Done {
        /// Its status now.
        status: Status,
        /// Its lane and due time now.
        entry: Entry,
    },
    /// The state does not allow it.
    NotAllowed(Status),
    /// There is no such message, or it is another tenant's.
    NotFound,
}
