//! The message that a request names.

use mailqueue_core::domain::record::Record;
use mailqueue_core::{MessageId, Outbox};

use super::query::parse_id;
use crate::wire::deadline::in_time;
use crate::wire::parameter::{parameters, uuid};
use crate::wire::problem::Problem;
use crate::wire::request::Request;

parameters! {
    /// The id in the address.
    EmailId { Path "id", "", uuid(); }
}

/// The id in the address.
///
/// # Errors
///
/// 422 when it is no id.
pub(super) fn message_id(request: &Request) -> Result<MessageId, Problem> {
    parse_id(&request.id).ok_or_else(|| Problem::field("/id", "must be the id of a message"))
}

/// A message, or 404.
pub(crate) async fn find(outbox: &Outbox, id: MessageId) -> Result<Record, Problem> {
    let record = in_time(outbox.get(id)).await??;
    record.ok_or_else(unknown)
}

/// 404: no message has this id, or it is another tenant's.
pub(crate) fn unknown() -> Problem {
    Problem::not_found("There is no message with this id.")
}
