//! The service over real sockets, on a real store.
#![allow(clippy::unwrap_used)]

mod attachments;
mod backlog;
mod bad_bodies;
mod bad_heads;
mod batch;
mod browser;
mod changing;
mod emails;
mod form;
mod fuzz;
mod gated_store;
mod idempotency;
mod keys;
mod logins;
mod memory;
mod messages;
mod openapi;
mod pages;
mod port;
mod rates;
mod slow_store;
mod tenants;
mod test_server;
mod texts;
mod unavailable;
mod unreadable;
