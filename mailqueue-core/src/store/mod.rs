//! Stores: the record on Postgres and on SQLite.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod ledger;
#[cfg(feature = "postgres")]
pub mod postgres;
