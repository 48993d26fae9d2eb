//! The name of a message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::{NoContext, Timestamp, Uuid};

/// Names one message for ever: a UUID of version 7 (RFC 9562), so ids sort by the time they were made.
///
/// ```
/// use mailqueue_core::MessageId;
/// use time::{Duration, OffsetDateTime};
///
/// let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
/// let (older, newer) = (MessageId::new(now), MessageId::new(now + Duration::SECOND));
/// assert!(older < newer);
/// assert_eq!(older.made_at(), Some(now));
/// assert_eq!(older.to_string().parse(), Ok(older));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(Uuid);

impl MessageId {
    /// A new id that no other process makes, carrying `now` to the millisecond.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Self {
        // A UUID holds no time before 1970, and no sound clock shows one.
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
        Self(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond())))
    }

    /// The id that sorts before all that are made at `time` or later, and after all others, to the millisecond.
    #[must_use]
    pub fn first_at(time: OffsetDateTime) -> Self {
        let millis = time.unix_timestamp_nanos().div_euclid(1_000_000).clamp(0, (1 << 48) - 1).unsigned_abs();
        // Version 7 and the variant of RFC 9562, and nothing else.
        Self(Uuid::from_u128(millis << 80 | 7 << 76 | 2 << 62))
    }

    /// The time at which it was made, to the millisecond; `None` for a UUID of another version.
    #[must_use]
    pub fn made_at(&self) -> Option<OffsetDateTime> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let made_at = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
        Some(made_at + Duration::nanoseconds(nanoseconds.into()))
    }

    /// The UUID behind this id.
    #[must_use]
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for MessageId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for MessageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_first_id_of_a_time_divides_older_ones_from_newer_ones() {
        let time = datetime!(2030-01-31 08:00 UTC);
        let first = MessageId::first_at(time);
        assert_eq!(first.made_at(), Some(time));
        assert!(MessageId::new(time - Duration::MILLISECOND) < first && first < MessageId::new(time));
        assert!(MessageId::first_at(OffsetDateTime::UNIX_EPOCH - Duration::DAY) < first);
    }
}
