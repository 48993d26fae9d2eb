//! The service over real sockets, on a real store.
#![allow(clippy::unwrap_used)]

mod anything;
mod backlog;
mod bad_bodies;
mod bad_heads;
mod browser;
mod emails;
mod form;
mod house;
mod keys;
mod pages;
mod port;
mod rates;
mod slow_store;
mod unavailable;
