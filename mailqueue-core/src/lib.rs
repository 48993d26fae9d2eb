//! mailqueue.
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contracts;
pub mod domain;
pub mod queue;
pub mod record;
pub mod store;
pub use domain::draft::Draft;
