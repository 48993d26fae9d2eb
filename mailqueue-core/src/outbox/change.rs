//! Changing a message that was accepted.

use super::Outbox;
use super::error::ChangeError;
use crate::contracts::store::{Change, Changed};
use crate::domain::id::MessageId;
use crate::domain::schedule::Schedule;
use crate::domain::status::Status;
use crate::domain::validation::{FieldError, ValidationError};
use crate::telemetry;

impl Outbox {
    /// Withdraws a message that is still queued.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]
    pub async fn cancel(&self, id: MessageId) -> Result<Status, ChangeError> {
        self.change(id, Change::Cancel).await
    }

    /// Has a message that is queued, failed or unknown tried again now.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]
    pub async fn retry_now(&self, id: MessageId) -> Result<Status, ChangeError> {
        self.change(id, Change::RetryNow).await
    }

    /// Moves a message that is still queued to another time.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; a time in the past or too far ahead is [`ChangeError::Invalid`].
    pub async fn reschedule(&self, id: MessageId, at: impl Into<Schedule>) -> Result<Status, ChangeError> {
        let at = self.limits.time_of(&at.into(), self.clock().now());
        let at = at.map_err(|detail| ValidationError::from(FieldError::new("/scheduled_at", detail)))?;
        self.change(id, Change::Reschedule(at)).await
    }

    async fn change(&self, id: MessageId, change: Change) -> Result<Status, ChangeError> {
        match self.store.change(self.tenant.as_deref(), id, change).await? {
            Changed::Done { status, entry } => {
                telemetry::changed(status);
                // A later time is left to the sweep, because the queue holds what is due.
                if status == Status::Queued && entry.due_at <= self.clock().now() {
                    self.notifier.notify(entry);
                }
                Ok(status)
            }
            Changed::NotAllowed(status) => Err(ChangeError::NotAllowed(status)),
            Changed::NotFound => Err(ChangeError::NotFound),
        }
    }
}
