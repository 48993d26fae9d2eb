//! The worker as a library: what the binary `mailqueue-worker` runs, and `mailqueue-http` hosts in its own process.
//!
//! ```no_run
//! use mailqueue_worker::{CancellationToken, Worker};
//! # async fn example(
//! #     store: std::sync::Arc<dyn mailqueue_core::MessageStore>,
//! #     queue: std::sync::Arc<dyn mailqueue_core::Queue>,
//! #     transport: std::sync::Arc<dyn mailqueue_core::Transport>,
//! # ) {
//! let shutdown = CancellationToken::new();
//! Worker::builder(store, queue, transport).concurrency(16).build().run(shutdown).await;
//! # }
//! ```

mod lookahead;
mod pausing;
mod presence;
mod queue_check;
mod run_loop;
pub mod service;
mod share;
mod slots;
mod source;
mod sweeping;
mod worker;

pub use tokio_util::sync::CancellationToken;
pub use worker::{DEFAULT_CONCURRENCY, DEFAULT_MEMORY, Worker, WorkerBuilder};
