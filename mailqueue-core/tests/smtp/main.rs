//! The SMTP transport against a scripted server, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so and end")]

mod breaker;
mod connections;
mod dot;
mod envelope;
mod fallbacks;
mod pausing;
mod protocol_violations;
mod security;
mod several;
mod silence;
mod support;
mod throttling;
