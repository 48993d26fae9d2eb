//! The retry schedule.

use std::time::Duration;

/// The retry schedule: exponential back-off with full jitter, and a time after which a message is given up.
///
/// ```
/// use std::time::Duration;
///
/// use mailqueue_core::RetryPolicy;
///
/// let policy = RetryPolicy::default();
/// assert_eq!(policy.wait(1, 1.0), Duration::from_secs(30));
/// assert_eq!(policy.wait(3, 0.5), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest wait before the second attempt. Later ones double it.
    pub first: Duration,
    /// The longest wait ever.
    pub cap: Duration,
    /// The time after which a message is given up, counted from when it was first due.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    /// 30 seconds, 4 hours, 3 days.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(30),
            cap: Duration::from_secs(4 * 3600),
            give_up_after: Duration::from_secs(3 * 24 * 3600),
        }
    }
}

impl RetryPolicy {
    /// The wait after `attempt` (from 1) has failed. `jitter` in 0..1 chooses within the window, evenly over all of
    /// it ("full jitter"), so that messages deferred together do not come back together.
    #[must_use]
    pub fn wait(&self, attempt: u32, jitter: f64) -> Duration {
        // 31, because a further doubling overflows `u32`; the cap is reached long before.
        let doublings = attempt.saturating_sub(1).min(31);
        let window = self.first.saturating_mul(1 << doublings).min(self.cap);
        window.mul_f64(jitter.clamp(0.0, 1.0))
    }
}
