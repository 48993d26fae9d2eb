//! mailqueue.
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contracts;
pub mod domain;
pub mod record;
pub mod store;
pub mod transport;
pub use domain::draft::Draft;
