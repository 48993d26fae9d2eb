//! Counts of what was done, in fixed buckets of time so that they add up.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::domain::lane::Lane;
use crate::domain::reason::Reason;

/// The upper limits of the buckets in milliseconds; what is longer than all goes to one more.
pub const BUCKET_LIMITS: [u64; 19] = [
    5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
    14_400_000, 43_200_000, 86_400_000,
];

/// The number of buckets.
pub const BUCKET_COUNT: usize = BUCKET_LIMITS.len() + 1;

/// A number of durations, by their length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets([u64; BUCKET_COUNT]);

impl Buckets {
    /// Adds a duration.
    pub fn record(&mut self, duration: Duration) {
        let millis = duration.as_micros().div_ceil(1000);
        let place = BUCKET_LIMITS.partition_point(|&limit| u128::from(limit) < millis);
        self.0[place] += 1;
    }

    /// Adds all durations of another.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The duration below which a share of all lies (0.5 is the median), estimated within its bucket; `None` when there
    /// are none. What is longer than the last limit counts as that.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = share.clamp(0.0, 1.0) * count as f64;
        let (mut below, mut lower) = (0, 0);
        for (&number, &limit) in self.0.iter().zip(&BUCKET_LIMITS) {
            if number > 0 && (below + number) as f64 >= rank {
                let part = ((rank - below as f64) / number as f64).clamp(0.0, 1.0);
                return Some(Duration::from_secs_f64(
                    (lower as f64 + part * (limit - lower) as f64) / 1000.0,
                ));
            }
            (below, lower) = (below + number, limit);
        }
        (count > 0).then(|| Duration::from_millis(lower))
    }

    /// The numbers, bucket by bucket.
    #[must_use]
    pub fn numbers(&self) -> &[u64; BUCKET_COUNT] {
        &self.0
    }

    /// Buckets of these numbers; those of a version that had fewer are filled up, and more go to the last.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut buckets = Self::default();
        for (place, number) in numbers.into_iter().enumerate() {
            let sum = &mut buckets.0[place.min(BUCKET_COUNT - 1)];
            *sum = sum.saturating_add(number);
        }
        buckets
    }
}

/// The end of an attempt, or of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrafficOutcome {
    /// The message was accepted.
    Accepted,
    /// The message was sent.
    Sent,
    /// An attempt did not succeed, and another one follows.
    Deferred,
    /// The message has failed.
    Failed,
    /// It is not known whether the message was sent, and it is not tried again.
    Unknown,
    /// The message was cancelled.
    Cancelled,
}

/// The error for a text that names no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be accepted, sent, deferred, failed, unknown or cancelled")]
pub struct TrafficOutcomeError;

impl TrafficOutcome {
    /// All outcomes.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Sent, Self::Deferred, Self::Failed, Self::Unknown, Self::Cancelled];

    /// The word on record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TrafficOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TrafficOutcome {
    type Err = TrafficOutcomeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(TrafficOutcomeError)
    }
}

/// The property by which traffic is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficKey {
    /// The lane of the messages.
    pub lane: Lane,
    /// What became of them.
    pub outcome: TrafficOutcome,
    /// The reason; `None` where nothing went wrong.
    pub reason: Option<Reason>,
}

/// A count of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficCount {
    /// What was counted.
    pub key: TrafficKey,
    /// The age of the count: one that could not be added at once goes to its own minute.
    pub age: Duration,
    /// How many.
    pub number: u64,
    /// The time from when each message was last due until it was claimed.
    pub wait: Buckets,
    /// The time from when each message was first due until it came to its end.
    pub took: Buckets,
}

/// The part of the past that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficRange {
    /// How far back from now; the step in which that lies is read wholly.
    pub back: Duration,
    /// The length of a step: whole minutes, and at least one. Steps begin at multiples of it since 1970 (UTC).
    pub step: Duration,
}

impl TrafficRange {
    /// The length of a step in whole minutes, at least one.
    #[must_use]
    pub fn step_minutes(&self) -> i64 {
        i64::try_from(self.step.as_secs() / 60).unwrap_or(i64::MAX).clamp(1, 60 * 24 * 366)
    }
}

/// The sum of one key in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficStep {
    /// The beginning of the step.
    pub start: OffsetDateTime,
    /// What was counted.
    pub key: TrafficKey,
    /// How many.
    pub number: u64,
    /// The time from when each message was last due until it was claimed.
    pub wait: Buckets,
    /// The time from when each message was first due until it came to its end.
    pub took: Buckets,
}

/// The traffic of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// The store's time.
    pub now: OffsetDateTime,
    /// The sums, from the oldest step.
    pub steps: Vec<TrafficStep>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_to_the_first_bucket_that_holds_them() {
        let mut buckets = Buckets::default();
        for micros in [0, 5000, 5001, 86_400_000_000, 86_400_000_001] {
            buckets.record(Duration::from_micros(micros));
        }
        let numbers = buckets.numbers();
        assert_eq!((numbers[0], numbers[1], numbers[18], numbers[19]), (2, 1, 1, 1));
        assert_eq!(buckets.count(), 5);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(Buckets::default().quantile(0.5), None);
        let mut buckets = Buckets::default();
        for millis in 1..=100 {
            buckets.record(Duration::from_millis(millis));
        }
        assert_eq!(buckets.quantile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(buckets.quantile(1.0), Some(Duration::from_millis(100)));
        let mut long = Buckets::default();
        long.record(Duration::from_secs(1_000_000));
        assert_eq!(long.quantile(0.99), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn buckets_of_another_version_keep_their_number() {
        assert_eq!(Buckets::of([1, 2]).count(), 3);
        assert_eq!(Buckets::of([1; 40]).count(), 40);
        assert_eq!(Buckets::of([1; 40]).numbers()[19], 21);
    }
}
