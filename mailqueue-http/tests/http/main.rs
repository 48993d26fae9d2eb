//! The service over real sockets, on a real store.
#![allow(clippy::unwrap_used)]

mod amending;
mod anything;
mod attachments;
mod backlog;
mod bad_bodies;
mod bad_heads;
mod batch;
mod browser;
mod emails;
mod form;
mod held;
mod house;
mod idempotency;
mod keys;
mod memory;
mod openapi;
mod pages;
mod port;
mod rates;
mod slow_store;
mod tenants;
mod texts;
mod unavailable;
mod unreadable;
