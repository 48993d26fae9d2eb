//! Stores: the record on Postgres and on SQLite, and what gathers calls to either.

pub mod batched;
mod batcher;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod bodies;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod microseconds;
pub mod migration_step;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrations;
mod pace;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod pause;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod placeholders;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod traffic;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod unreadable;
