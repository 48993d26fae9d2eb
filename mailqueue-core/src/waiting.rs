//! The metrics of waiting mail.

use std::time::Duration;

use crate::contracts::store::Backlog;
use crate::domain::clock;

/// Shows what the store has just said, in whichever process heard it.
pub(crate) fn show(backlog: &Backlog) {
    let age = backlog.oldest_due.map_or(Duration::ZERO, |due| clock::age(due, backlog.now));
    metrics::gauge!("mailqueue_oldest_queued_message_age_seconds").set(age.as_secs_f64());
}
