//! Facts about the parts that can be told before the first message: their names in logs, and faults of the surroundings.

use secrecy::SecretString;

use super::{ConnectError, Part, faulty, path, scheme, writes_files};
#[cfg(feature = "redis")]
use crate::queue::redis::RedisQueue;
#[cfg(feature = "postgres")]
use crate::store::postgres::PostgresStore;
use crate::transport::file::FileTransport;
#[cfg(feature = "smtp")]
use crate::transport::smtp::{SmtpTransport, Timeouts};

/// The store that a URL names, without user, password and parameters: `postgres://db:5432/mail`.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn store_name(url: &SecretString) -> Result<String, ConnectError> {
    match scheme(url) {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            PostgresStore::name(url).map_err(|error| faulty(Part::Store, error.to_string()))
        }
        _ => Ok(format!("sqlite://{}", path(Part::Store, url)?.display())),
    }
}

/// The queue that a URL names, likewise; without one `in this process`.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn queue_name(url: Option<&SecretString>) -> Result<String, ConnectError> {
    match url {
        None => Ok("in this process".to_owned()),
        #[cfg(feature = "redis")]
        Some(url) => RedisQueue::name(url).map_err(|error| faulty(Part::Queue, error.to_string())),
        #[cfg(not(feature = "redis"))]
        Some(_) => Err(faulty(Part::Queue, "must not be set: Redis is not built in")),
    }
}

/// The relays of a transport in their order, likewise.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn transport_names(relays: &SecretString) -> Result<Vec<String>, ConnectError> {
    if writes_files(relays) {
        return Ok(vec![format!("file://{}", path(Part::Transport, relays)?.display())]);
    }
    #[cfg(feature = "smtp")]
    return Ok(super::relay_urls(relays)?.iter().map(ToString::to_string).collect());
    #[cfg(not(feature = "smtp"))]
    Ok(Vec::new())
}

/// Finds out whether the directory of `file://DIR` can be written to, and creates it where it is missing. Relays pass:
/// one that is away today may be there tomorrow. Blocks for as long as the disk takes.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn check_directory(relays: &SecretString) -> Result<(), ConnectError> {
    if !writes_files(relays) {
        return Ok(());
    }
    let transport = FileTransport::new(path(Part::Transport, relays)?);
    let detail = |error: std::io::Error| {
        format!("the directory {} cannot be written to: {error}", transport.directory().display())
    };
    transport.check().map_err(|error| faulty(Part::Transport, detail(error)))
}

/// The relays whose names do not resolve at this moment, each with the reason. Returns within seconds.
#[cfg(feature = "smtp")]
pub async fn unresolved_relays(relays: &SecretString) -> Vec<(String, String)> {
    if writes_files(relays) {
        return Vec::new();
    }
    // A faulty URL is reported where the transport is opened.
    let relays = super::relay_urls(relays).unwrap_or_default();
    SmtpTransport::unresolved(&relays, &Timeouts::default()).await
}

/// None: SMTP is not built in.
#[cfg(not(feature = "smtp"))]
pub async fn unresolved_relays(_: &SecretString) -> Vec<(String, String)> {
    Vec::new()
}
