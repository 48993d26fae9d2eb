//! Extensions that a relay advertises but does not support.

use std::sync::atomic::AtomicBool;

/// Kept for as long as the relay is used, so that it is found out once.
#[derive(Debug, Default)]
pub(super) struct Quirks {
    /// It offers AUTH PLAIN and does not take it.
    pub(super) no_plain: AtomicBool,
    /// It offers PIPELINING, and something on the way swallows all commands of a group but the first.
    pub(super) no_pipelining: AtomicBool,
}
