//! The options of a Redis queue.

use std::time::Duration;

/// The options of a [`RedisQueue`](super::RedisQueue).
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Keeps several queues on one Redis apart. ASCII letters, digits, `-`, `_` and `.`; `default` unless set.
    pub name: String,
    /// The time that a call may take (a pull: on top of its wait), from one millisecond up; 1 s unless set.
    pub timeout: Duration,
    /// The number of entries that a lane holds before pushes are left out; 100,000 (some 15 MB a lane) unless set.
    pub cap: u64,
    /// The number of calls without a wait that may be under way at once, from 1 up; 8 unless set. Waiting pulls have
    /// connections of their own.
    pub connections: u32,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { name: "default".to_owned(), timeout: Duration::from_secs(1), cap: 100_000, connections: 8 }
    }
}

/// The reason why a Redis queue could not be opened. No text holds any part of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisOpenError {
    /// It is no URL that names a Redis.
    #[error("not a Redis URL: it must read redis://[user:password@]host[:port][/database] or rediss://…")]
    Url,
    /// The queue's name would not make a key.
    #[error("the queue's name must consist of ASCII letters, digits, '-', '_' and '.'")]
    Name,
    /// Nothing can be answered in no time, or over no connection.
    #[error("the timeout must be at least a millisecond, and the connections at least one")]
    Bounds,
}
