//! The envelope of an open transaction.

use super::command::Path;

/// Sender and recipients so far.
#[derive(Default)]
pub(super) struct Envelope {
    pub(super) mail: Option<Path>,
    pub(super) recipients: Vec<String>,
}
