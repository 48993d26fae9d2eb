//! A change of one message.

use mailqueue_core::domain::schedule::Schedule;
use mailqueue_core::outbox::ChangeError;
use mailqueue_core::{MessageId, Outbox, Status};

/// A change of one message.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Retry,
    Cancel,
    Reschedule(Schedule),
}

impl Change {
    pub(super) async fn make(&self, outbox: &Outbox, id: MessageId) -> Result<Status, ChangeError> {
        match self {
            Self::Retry => outbox.retry_now(id).await,
            Self::Cancel => outbox.cancel(id).await,
            Self::Reschedule(at) => outbox.reschedule(id, at.clone()).await,
        }
    }

    /// True if a message of this status can be changed so.
    pub(super) fn allows(&self, status: Status) -> bool {
        match self {
            Self::Retry => matches!(status, Status::Queued | Status::Failed | Status::Unknown),
            Self::Cancel | Self::Reschedule(_) => status == Status::Queued,
        }
    }
}
