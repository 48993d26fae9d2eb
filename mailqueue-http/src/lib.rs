//! mailqueue over HTTP: the page, the form and the JSON API in front of an [`Outbox`](mailqueue_core::Outbox).
//!
//! A thin shell: bytes and status codes in, outbox calls out. It decides nothing about mail and names no store, queue
//! or transport. Nothing is kept unless the answer is 2xx (or the 303 that a browser gets for its form), and no text of
//! an answer or a log line repeats what a message says or whom it is for.

mod answer;
mod auth;
mod json;
mod problem;
mod urlencoded;

pub use auth::{ApiKeys, ApiKeysError};
