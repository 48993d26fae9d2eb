//! mailqueue.
pub mod contracts;
pub mod domain;
pub mod outbox;
pub mod record;
pub mod store;
#[cfg(any(feature = "postgres", feature = "smtp"))]
pub mod tls;
pub use domain::draft::Draft;
pub use domain::id::MessageId;
pub use outbox::Outbox;
