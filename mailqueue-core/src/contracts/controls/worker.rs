//! Workers, as they report themselves.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::contracts::relay_health::RelayHealth;

/// The activity of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It takes what is due.
    Running,
    /// It takes nothing, because everything, all lanes or all its relays are paused.
    Paused,
    /// It ends: it takes nothing more and finishes what it has.
    Draining,
}

/// The error for a text that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be running, paused or draining")]
pub struct WorkerStateError;

impl WorkerState {
    const ALL: [Self; 3] = [Self::Running, Self::Paused, Self::Draining];

    /// The word on record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WorkerState {
    type Err = WorkerStateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(WorkerStateError)
    }
}

/// The report of a worker on itself.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerReport {
    /// Its name, which no other running worker has.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// The time since it began.
    pub running_for: Duration,
    /// The number of messages it sends at once at most.
    pub concurrency: u32,
    /// The number of messages it has claimed and not written down yet.
    pub in_flight: u32,
    /// Its activity.
    pub state: WorkerState,
    /// The health of its relays, in the order in which they are tried.
    pub relays: Vec<RelayHealth>,
}

/// A worker on record.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// The time it began.
    pub started_at: OffsetDateTime,
    /// The time of its last report.
    pub seen_at: OffsetDateTime,
    /// The number of messages it sends at once at most.
    pub concurrency: u32,
    /// The number of messages it had claimed and not written down.
    pub in_flight: u32,
    /// Its activity.
    pub state: WorkerState,
    /// The health of its relays; empty where this version cannot read it.
    pub relays: Vec<RelayHealth>,
}

/// The workers at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Workers {
    /// The store's time.
    pub now: OffsetDateTime,
    /// The workers, by name.
    pub rows: Vec<WorkerRow>,
}

impl Workers {
    /// The age of a last report that says that a worker is not there any more: it reports three times as often.
    pub const LOST_AFTER: Duration = Duration::from_secs(30);

    /// True for a worker that has not reported lately.
    #[must_use]
    pub fn has_lost(&self, row: &WorkerRow) -> bool {
        self.now - row.seen_at > Self::LOST_AFTER
    }
}
