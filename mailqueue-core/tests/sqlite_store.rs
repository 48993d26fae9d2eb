//! The record on SQLite, held to the suite of every store and tried where only SQLite can fail.

use std::sync::Arc;

use mailqueue_core::MessageStore;
use mailqueue_core::store::batched::Batched;
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

async fn plain() -> (Arc<dyn MessageStore>, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let store = SqliteStore::open(folder.path().join("mail.db"), &SqliteOptions::default()).await;
    (Arc::new(store.expect("a new database can be made")), folder)
}

async fn batched() -> (Arc<dyn MessageStore>, TempDir) {
    let (store, folder) = plain().await;
    (Arc::new(Batched::new(store)), folder)
}

mailqueue_core::message_store_conformance!(on_sqlite, plain());
mailqueue_core::message_store_conformance!(on_sqlite_in_batches, batched());
