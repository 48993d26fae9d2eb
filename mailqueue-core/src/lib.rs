//! mailqueue.
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contracts;
pub mod deliver;
pub mod domain;
pub mod outbox;
pub mod record;
pub mod store;
pub mod sweep;
#[cfg(any(feature = "postgres", feature = "smtp"))]
pub mod tls;

pub use contracts::queue::{Entry, Queue, QueueError};
pub use contracts::store::{MessageStore, Retention, StoreError};
pub use contracts::transport::{Gate, Outgoing, Transport};
pub use domain::draft::{Draft, Limits};
pub use domain::id::MessageId;
pub use domain::lane::Lane;
pub use domain::retry::RetryPolicy;
pub use domain::status::Status;
pub use domain::transition::{DeliveryPolicy, OnUnknown};
pub use outbox::{AmendError, Outbox, Receipt, SubmitError};
pub use record::{Filter, Page, Record};
