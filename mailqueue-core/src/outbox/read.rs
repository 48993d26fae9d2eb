//! Looking messages up.

use super::Outbox;
use crate::contracts::store::{Filter, Page, StoreError};
use crate::domain::id::MessageId;
use crate::domain::record::Record;

impl Outbox {
    /// One message with everything that is known of it; `None` when there is none or it is another tenant's.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn get(&self, id: MessageId) -> Result<Option<Record>, StoreError> {
        self.store.get(self.tenant.as_deref(), id).await
    }

    /// A page of messages, newest first. The filter's tenant is overruled by the outbox's.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn list(&self, mut filter: Filter) -> Result<Page, StoreError> {
        if let Some(tenant) = &self.tenant {
            filter.tenant = Some(tenant.to_string());
        }
        self.store.list(&filter).await
    }
}
