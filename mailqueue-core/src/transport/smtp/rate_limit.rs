//! A limit of how many messages are begun a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Lets one through at a time, at even intervals, without saving up for a burst.
#[derive(Debug)]
pub(super) struct RateLimit {
    interval: Duration,
    next: Mutex<Instant>,
}

impl RateLimit {
    /// `rate` a second, at least one.
    pub(super) fn new(rate: u32) -> Self {
        Self { interval: Duration::from_secs(1) / rate.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Returns when it is this caller's turn. A caller that gives up leaves its turn unused.
    pub(super) async fn acquire(&self) {
        // Takes the turn under the lock and waits for it without.
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + self.interval;
            turn
        };
        if turn > Instant::now() {
            sleep_until(turn).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_even_intervals_and_are_not_saved_up() {
        let (limit, started) = (RateLimit::new(10), Instant::now());
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..11 {
            limit.acquire().await;
        }
        let taken = started.elapsed().as_millis();
        assert!((6000..6020).contains(&taken), "{taken}");
    }
}
