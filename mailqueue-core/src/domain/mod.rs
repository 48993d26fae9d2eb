//! The domain: messages, addresses, deliveries and the rules that change them.
//!
//! Everything here is pure: no I/O, no async, and no clock but the one in [`clock`], which takes
//! its time from the store.

pub mod address;
pub mod attachment;
pub mod attempt;
pub mod audit;
mod bidi;
pub mod clock;
pub mod delivery;
mod domain_name;
pub mod draft;
mod field;
pub mod header;
pub mod id;
pub mod idempotency;
pub mod lane;
mod line_ends;
pub mod message;
pub mod pause_scope;
pub mod reason;
pub mod recipient;
pub mod record;
pub mod render;
pub mod rendered_file;
pub mod rendered_text;
pub mod report;
pub mod retry;
pub mod round_robin;
pub mod schedule;
pub mod search;
pub mod status;
mod text;
mod transfer_encoding;
pub mod transition;
pub mod validation;
