//! The contract of what an operator sees and decides: pauses, workers and traffic.

mod pause;
mod traffic;
mod worker;

use async_trait::async_trait;

pub use self::pause::{Pause, PauseRequest, Pauses};
pub use self::traffic::{
    BUCKET_COUNT, BUCKET_LIMITS, Buckets, Traffic, TrafficCount, TrafficKey, TrafficOutcome, TrafficRange,
    TrafficStep,
};
pub use self::worker::{WorkerReport, WorkerRow, WorkerState, Workers};
use super::store::StoreError;
use crate::domain::pause_scope::PauseScope;

/// What stands beside the messages: which part of the work is paused, who works, and how much was done.
///
/// Every method is safe to call from many tasks and processes at once. All times are the store's clock. None of it decides
/// the fate of a message: a store without it loses no mail.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mailqueue_core::contracts::controls::{Controls, PauseRequest};
/// use mailqueue_core::controls::MemoryControls;
/// use mailqueue_core::Lane;
/// use mailqueue_core::domain::pause_scope::PauseScope;
///
/// let controls = MemoryControls::new();
/// controls.pause(&PauseRequest::new(PauseScope::Lane(Lane::Bulk), "ana").reason("a relay moves")).await?;
/// assert!(controls.pauses().await?.has_lane(Lane::Bulk));
/// assert!(controls.resume(&PauseScope::Lane(Lane::Bulk)).await?);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Controls: Send + Sync + 'static {
    /// Keeps a pause, committed when this returns, and returns it as it is kept. One of the same scope that was there
    /// before is replaced.
    async fn pause(&self, request: &PauseRequest) -> Result<Pause, StoreError>;

    /// Ends the pause of exactly this scope. `false`: there was none in force. A pause of a wider scope stays.
    async fn resume(&self, scope: &PauseScope) -> Result<bool, StoreError>;

    /// All pauses in force now, in the order of their scopes. One whose time is over is left out.
    async fn pauses(&self) -> Result<Pauses, StoreError>;

    /// Keeps one row for the worker of this name, with everything as reported and the time of this call. A worker that
    /// was there before is replaced.
    async fn report_worker(&self, report: &WorkerReport) -> Result<(), StoreError>;

    /// Forgets the worker of this name, which has ended. One that is not there is no error.
    async fn sign_off(&self, name: &str) -> Result<(), StoreError>;

    /// All workers that have reported and not signed off, by name, until [`prune_history`](Self::prune_history) drops
    /// them. Those that have ended without a word are among them: `seen_at` tells.
    async fn workers(&self) -> Result<Workers, StoreError>;

    /// Adds counts to those that are there, all of them or none. Each goes to the minute in which it was counted, by the
    /// age it has. After [`StoreError::Unavailable`] it is not known whether they were added.
    async fn add_traffic(&self, counts: &[TrafficCount]) -> Result<(), StoreError>;

    /// The sums of a range, step by step from the oldest, and in a step by key; a step or key without a count is left out.
    async fn traffic(&self, range: &TrafficRange) -> Result<Traffic, StoreError>;

    /// Drops pauses that are over, workers not seen for `retention.workers`, and counts older than `retention.hours`.
    /// Minutes older than `retention.minutes` become hours; no sum changes by that.
    async fn prune_history(&self, retention: &HistoryRetention) -> Result<(), StoreError>;
}

/// How long history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRetention {
    /// A worker that does not report any more.
    pub workers: std::time::Duration,
    /// Traffic by the minute.
    pub minutes: std::time::Duration,
    /// Traffic by the hour.
    pub hours: std::time::Duration,
}

impl Default for HistoryRetention {
    /// An hour, 48 hours and 90 days.
    fn default() -> Self {
        let hour = std::time::Duration::from_secs(3600);
        Self { workers: hour, minutes: hour * 48, hours: hour * 24 * 90 }
    }
}
