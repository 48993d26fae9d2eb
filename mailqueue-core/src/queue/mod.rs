//! Queues: the window on what is due, in process and on Redis.

pub mod local;
mod micros;
#[cfg(feature = "redis")]
pub mod redis;
