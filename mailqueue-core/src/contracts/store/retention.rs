//! How long finished messages are kept.

use std::time::Duration;

/// How long finished messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bodies, attachments and the rendered message.
    pub content: Duration,
    /// Everything else.
    pub record: Duration,
}

impl Default for Retention {
    /// 30 days for both.
    fn default() -> Self {
        let month = Duration::from_secs(30 * 24 * 3600);
        Self { content: month, record: month }
    }
}

/// The numbers of what was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Messages whose content was deleted.
    pub contents: u64,
    /// Messages that were deleted with their records.
    pub records: u64,
    /// Idempotency keys that were deleted.
    pub keys: u64,
}
