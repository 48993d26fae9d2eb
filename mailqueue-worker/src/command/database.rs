//! The database, for the time of a command.

use std::sync::Arc;

use mailqueue_core::connect::{self, StoreOptions};
use mailqueue_core::{Controls, MessageId, MessageStore, Outbox, StoreError};
use mailqueue_worker::service::command::Failure;
use mailqueue_worker::service::settings::{ServiceSettings, SettingFault};
use time::OffsetDateTime;

/// The database, opened beside the processes that do the work.
pub(crate) struct Database {
    pub(crate) store: Arc<dyn MessageStore>,
    pub(crate) controls: Arc<dyn Controls>,
    /// All tenants' mail. The workers learn of changes by their next sweep.
    pub(crate) outbox: Outbox,
}

impl Database {
    /// Opens it as it is: tables are not brought up to date.
    pub(crate) async fn open(settings: &ServiceSettings) -> Result<Self, Failure> {
        // The server's durability is the concern of those that take mail in.
        let options = StoreOptions { migrate: false, allow_unsafe: true, beside: true };
        let opened = connect::database(&settings.database, options).await?;
        let queue = connect::queue(None)?;
        let outbox = Outbox::start(Arc::clone(&opened.store), queue).await;
        Ok(Self { store: opened.store, controls: opened.controls, outbox })
    }

    /// The store's time.
    pub(crate) async fn now(&self) -> Result<OffsetDateTime, Failure> {
        self.store.now().await.map_err(failed)
    }
}

/// The failure that an error of the store is.
pub(crate) fn failed(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) | StoreError::Overloaded(_) => {
            Failure::OutOfReach(SettingFault { name: "DATABASE_URL".to_owned(), detail: error.to_string() })
        }
        error => Failure::Sentence(error.to_string()),
    }
}

/// The id of a message.
pub(crate) fn id(text: &str) -> Result<MessageId, String> {
    text.parse().map_err(|_| "must be the id of a message, as `list` shows it".to_owned())
}
