//! mailqueue over HTTP: the page, the form and the JSON API in front of an [`Outbox`](mailqueue_core::Outbox).
//!
//! A thin shell: bytes and status codes in, outbox calls out. It decides nothing about mail and names no store, queue
//! or transport. Nothing is kept unless the answer is 2xx (or the 303 that a browser gets for its form), and no text of
//! an answer or a log line repeats what a message says or whom it is for.
//!
//! ```no_run
//! # async fn example(outbox: mailqueue_core::Outbox) -> std::io::Result<()> {
//! use mailqueue_http::{App, Options, Server};
//!
//! let app = App::new(outbox, Options::default());
//! let server = Server::bind("127.0.0.1:8080".parse().expect("an address"), app).await?;
//! server.run(async { _ = tokio::signal::ctrl_c().await }).await;
//! # Ok(())
//! # }
//! ```

mod access_log;
mod api;
mod app;
mod auth;
mod docs;
mod in_flight_keys;
mod openapi;
mod pages;
mod rate;
mod recipients;
mod router;
mod server;
mod shown_content;
mod viewer;
mod wire;

pub use app::{App, Options};
pub use auth::{
    ApiKey, ApiKeyError, ApiKeys, ApiKeysError, GenerateError, Rights, Scope, read_day, read_domain,
};
/// The name of a header field, for [`Options::client_address`] and [`Options::user`].
pub use hyper::header::HeaderName;
pub use rate::{Rate, RateError};
pub use recipients::{Recipients, RecipientsError};
pub use server::Server;
pub use shown_content::{ShownContent, ShownContentError};
