//! A transactional outbox for e-mail.
//!
//! A message that was accepted is committed in a database ([`MessageStore`]: Postgres or SQLite) and ends in exactly one of
//! `sent`, `failed`, `cancelled` or `unknown`, whatever crashes. Workers learn of it by a queue ([`Queue`]: Redis or in
//! process) that may be lost at any time, and send it through a [`Transport`] (SMTP, files or memory).
//!
//! - To hand mail over: [`Outbox::submit`] with a [`Draft`].
//! - To open the parts by URL: [`connect`].
//! - To send: the crate `mailqueue-worker`, or [`deliver`] and [`sweep`], which it is made of.
//! - To test a service that sends mail: [`MemoryTransport`](transport::memory::MemoryTransport).
//! - To write another store, queue or transport: implement the contract and run its suite in `conformance`.
//!
//! ```
//! use mailqueue_core::{Draft, Outbox, connect};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite://{}", folder.path().join("mail.db").display());
//! let store = connect::store(&url.into()).await?;
//! let queue = connect::queue(None)?;
//! let outbox = Outbox::start(store, queue).await;
//!
//! let draft = Draft::new("Shop <shop@example.com>", "ana@example.org", "Your order").text("It is on its way.");
//! let receipt = outbox.submit(draft).await?;
//! let record = outbox.get(receipt.id).await?.expect("what was accepted can be looked up");
//! assert_eq!(record.summary.subject, "Your order");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod connect;
pub mod contracts;
pub mod controls;
pub mod deliver;
pub mod domain;
pub mod health;
pub mod offload;
pub mod outbox;
pub mod queue;
pub mod store;
pub mod sweep;
pub mod telemetry;
#[cfg(feature = "postgres")]
mod tls;
pub mod transport;
#[cfg_attr(
    not(all(feature = "postgres", feature = "redis", feature = "smtp")),
    allow(dead_code, reason = "each implementation uses its own part of it")
)]
mod uri;

pub use contracts::controls::Controls;
pub use contracts::queue::{Entry, Pulled, Queue, QueueError};
pub use contracts::store::{Filter, MessageStore, Page, Retention, StoreError};
pub use contracts::transport::{Gate, Outgoing, Transport};
pub use domain::draft::{Draft, Limits};
pub use domain::id::MessageId;
pub use domain::idempotency::IdempotencyKey;
pub use domain::lane::Lane;
pub use domain::record::Record;
pub use domain::retry::RetryPolicy;
pub use domain::round_robin::LaneWeights;
pub use domain::status::Status;
pub use domain::transition::{DeliveryPolicy, OnUnknown};
pub use outbox::{Capacity, ChangeError, Outbox, Receipt, SubmitError};
