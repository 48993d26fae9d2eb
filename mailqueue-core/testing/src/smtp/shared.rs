//! The state that all sessions of a sink share.

use tokio::sync::watch;

use super::Record;
use super::script::Script;

/// The script, the record and the releases of a sink.
pub(super) struct Shared {
    pub(super) script: Script,
    pub(super) record: watch::Sender<Record>,
    pub(super) releases: watch::Sender<u64>,
}
