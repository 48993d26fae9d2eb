//! The one place that knows what time it is.

use std::sync::RwLock;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// The store's time, without a question each time.
///
/// It holds what the store said last and adds what has passed since by the monotonic clock, so a wrong clock on
/// this host moves nothing. Until a store has been asked it tells the host's time.
#[derive(Debug)]
pub struct Clock {
    anchor: RwLock<(OffsetDateTime, Instant)>,
}

impl Clock {
    /// A clock that starts from this host's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    pub fn new() -> Self {
        Self { anchor: RwLock::new((OffsetDateTime::now_utc(), Instant::now())) }
    }

    /// Takes over the time a store has told. `asked` is when the question was sent.
    pub fn set(&self, told: OffsetDateTime, asked: Instant) {
        *self.anchor.write().unwrap_or_else(std::sync::PoisonError::into_inner) = (told, asked);
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let (told, asked) = *self.anchor.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        told + asked.elapsed()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The time from `since` to `now`; zero when `since` lies ahead.
#[must_use]
pub fn age(since: OffsetDateTime, now: OffsetDateTime) -> Duration {
    (now - since).try_into().unwrap_or(Duration::ZERO)
}
