//! The errors of an outbox.

use std::sync::Arc;

use crate::contracts::store::StoreError;
use crate::domain::render::RenderError;
use crate::domain::status::Status;
use crate::domain::validation::{FieldError, ValidationError};

/// The reason why a submission was not accepted. Nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The message is faulty.
    #[error("the message cannot be accepted: {0}")]
    Invalid(#[from] ValidationError),
    /// The message is from a domain that this outbox does not send for.
    #[error("the message is from a domain that this outbox does not send for")]
    ForeignSender(Vec<FieldError>),
    /// The idempotency key stands for another message.
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// So much is waiting to be sent that nothing more is taken in.
    #[error("too much is waiting to be sent")]
    Full,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mail library refused it.
    #[error(transparent)]
    Render(#[from] Arc<RenderError>),
}

/// The reason why a change was not made. The message is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChangeError {
    /// There is no such message.
    #[error("there is no such message")]
    NotFound,
    /// The message's state does not allow it.
    #[error("a message that is {0} does not allow this")]
    NotAllowed(Status),
    /// The change itself is faulty.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
