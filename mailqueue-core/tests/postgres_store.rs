//! The record on Postgres, held to the suite of every store and tried where only Postgres can fail.

use std::sync::Arc;

use mailqueue_core::MessageStore;
use mailqueue_core::store::batched::Batched;
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_testing::Postgres;
use secrecy::SecretString;
use tokio::sync::OnceCell;

/// A database with our tables, copied from one that was migrated once.
async fn migrated() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        let url = Postgres::shared().database();
        let store = PostgresStore::open(&SecretString::from(url.as_str()), &PostgresOptions::default()).await;
        drop(store.expect("an empty database can be migrated"));
        url
    });
    Postgres::shared().database_from(template.await)
}

async fn open(url: &str) -> PostgresStore {
    let options = PostgresOptions { migrate: false, ..PostgresOptions::default() };
    PostgresStore::open(&SecretString::from(url), &options).await.expect("the database is up")
}

async fn plain() -> (Arc<dyn MessageStore>, ()) {
    (Arc::new(open(&migrated().await).await), ())
}

async fn batched() -> (Arc<dyn MessageStore>, ()) {
    (Arc::new(Batched::new(plain().await.0)), ())
}

mailqueue_core::message_store_conformance!(on_postgres, plain());
mailqueue_core::message_store_conformance!(on_postgres_in_batches, batched());
