//! The JSON API: messages in and out in the shape of Resend's.

mod attachments;
mod batch;
mod change;
pub(crate) mod docs;
mod email_response;
mod find;
pub(crate) mod health;
mod list;
mod new_email;
pub(crate) mod openapi;
mod query;
mod read;
mod submit;
mod text_of_html;

pub(crate) use attachments::{attachment, attachments, content};
pub(crate) use batch::submit_batch;
pub(crate) use change::{cancel, reschedule, retry};
pub(crate) use find::{find, unknown};
pub(crate) use query::parse_id;
pub(crate) use read::{get, list};
pub(crate) use submit::{check_size, submit};
