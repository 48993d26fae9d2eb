//! The pages that people see.
//!
//! The files in `static/` are the same for everybody: a web server in front may serve them itself.

mod fields;
pub(crate) mod form;
mod list_query;
mod list_view;
pub(crate) mod login;
pub(crate) mod message;
mod message_view;
pub(crate) mod messages;
mod moment;
pub(crate) mod parts;
mod preview;
mod stage;
pub(crate) mod templates;
mod translations;
