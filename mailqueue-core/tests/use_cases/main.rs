//! The use cases on a real store: delivering, sweeping, and the batches in between, while parts of them fail.
//!
//! The store is SQLite in a folder of its own, behind a double that can be away, hold calls up and say what it was
//! asked; the queue is the local one, at times a lossy one in front of it; the transport keeps mail in memory.

mod batched;
mod delivering;
mod harness;
mod permissions;
mod submitting;
mod sweeping;
