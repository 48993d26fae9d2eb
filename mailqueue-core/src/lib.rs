//! mailqueue.
pub mod contracts;
pub mod domain;
pub mod record;
pub mod store;
pub use domain::draft::Draft;
