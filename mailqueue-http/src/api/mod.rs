//! The JSON API: messages in and out in the shape of Resend's.
//!
//! The first doc lines of a handler and of a body stand in the OpenAPI document.

pub(crate) mod attachments;
pub(crate) mod batch;
pub(crate) mod change;
mod email_response;
mod enum_schemas;
pub(crate) mod find;
pub(crate) mod health;
mod new_email;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod submit;
mod text_of_html;
