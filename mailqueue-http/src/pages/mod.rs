//! The pages that people see.
//!
//! The files in `static/` are the same for everybody: a web server in front may serve them itself.

mod fields;
pub(crate) mod form;
mod message_view;
pub(crate) mod messages;
pub(crate) mod templates;
mod translations;
