//! The rest of a rate, and its header fields.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use crate::wire::response::Response;

/// The requests that a client may still make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitStatus {
    /// The number of requests that may come at once.
    pub(crate) limit: u32,
    /// The number that is left of them.
    pub(crate) remaining: u32,
    /// The time until all of them are there again.
    pub(crate) reset: Duration,
    /// The time until the next one may come.
    pub(crate) wait: Duration,
}

impl RateLimitStatus {
    /// The time until the next request may come, in whole seconds, rounded up.
    pub(crate) fn wait(&self) -> u64 {
        // A wait of 0 would send the client straight into the next refusal.
        seconds(self.wait).max(1)
    }

    /// Adds the header fields that clients of Resend read.
    pub(crate) fn mark(&self, response: &mut Response) {
        let told = [
            ("ratelimit-limit", u64::from(self.limit)),
            ("ratelimit-remaining", u64::from(self.remaining)),
            ("ratelimit-reset", seconds(self.reset)),
        ];
        for (name, value) in told {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
