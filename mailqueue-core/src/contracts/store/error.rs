//! The errors of a store.

use std::error::Error;
use std::fmt;

use crate::contracts::error_detail::ErrorDetail;

/// The outcome of a call that a store did not carry out, with its message and, where a driver named one, its source.
///
/// ```
/// use mailqueue_core::StoreError;
///
/// let error = StoreError::Unavailable("connection refused".into());
/// assert!(error.is_transient());
/// assert_eq!(error.to_string(), "the message store is out of reach: connection refused");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, or the connection broke before it answered. Whether it did it is not known.
    Unavailable(ErrorDetail),
    /// More is being asked than it can do. It has not been done.
    Overloaded(ErrorDetail),
    /// It has no space for new messages, which has not been kept. Messages it holds can still be sent and settled.
    NoSpace(ErrorDetail),
    /// It refused this item. It has not been done, and will be refused again.
    Refused(ErrorDetail),
    /// Its data makes no sense to this version.
    Unreadable(ErrorDetail),
}

impl StoreError {
    /// Tells whether the same call may succeed later, with nothing changed but time or space.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Overloaded(_) | Self::NoSpace(_))
    }

    /// The word used in metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Overloaded(_) => "overloaded",
            Self::NoSpace(_) => "no_space",
            Self::Refused(_) => "refused",
            Self::Unreadable(_) => "unreadable",
        }
    }

    fn parts(&self) -> (&'static str, &ErrorDetail) {
        match self {
            Self::Unavailable(detail) => ("the message store is out of reach", detail),
            Self::Overloaded(detail) => ("the message store is overloaded", detail),
            Self::NoSpace(detail) => ("the message store has no space for new messages", detail),
            Self::Refused(detail) => ("the message store refused it", detail),
            Self::Unreadable(detail) => ("the message store holds something unreadable", detail),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outcome, detail) = self.parts();
        write!(f, "{outcome}: {detail}")
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.parts().1.source()
    }
}
