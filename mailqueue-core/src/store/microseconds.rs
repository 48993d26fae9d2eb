//! Durations as both databases keep them: whole microseconds.

use std::time::Duration;

/// A duration in microseconds. One of more than 146,000 years becomes that long, so that adding it to a time of these
/// centuries does not overflow.
pub(super) fn of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

/// The duration of so many microseconds; zero for a negative number.
pub(super) fn duration(microseconds: i64) -> Duration {
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}
