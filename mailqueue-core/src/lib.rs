//! mailqueue.
pub mod contracts;
pub mod deliver;
pub mod domain;
pub mod outbox;
pub mod record;
pub mod store;
pub mod sweep;
#[cfg(any(feature = "postgres", feature = "smtp"))]
pub mod tls;
pub use domain::draft::Draft;
pub use domain::id::MessageId;
pub use outbox::Outbox;
