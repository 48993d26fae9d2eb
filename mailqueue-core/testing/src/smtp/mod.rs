//! A scripted SMTP server.
//!
//! [`SmtpSink`] listens and waits, a session (one per connection) speaks, [`Event`] and [`Action`] are the
//! script's two sides, [`Record`] is what is left to assert on.

mod action;
mod answer;
mod auth;
mod command;
mod data;
mod dialogue;
mod envelope;
mod event;
mod presence;
mod record;
mod script;
mod session;
mod shared;
mod sink;
mod transaction;
mod violation;
mod wire;

pub use action::Action;
pub use auth::Credentials;
pub use event::{Event, Phase};
pub use record::{Conversation, Line, Received, Record};
pub use script::Tls;
pub use sink::{SmtpSink, SmtpSinkBuilder};
