//! Opening the parts by URL: the one place that names implementations.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::contracts::queue::Queue;
use crate::contracts::store::{MessageStore, StoreError};
use crate::contracts::transport::Transport;
use crate::queue::local::LocalQueue;
#[cfg(feature = "redis")]
use crate::queue::redis::{RedisOptions, RedisQueue};
use crate::store::batched::Batched;
#[cfg(feature = "postgres")]
use crate::store::postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::transport::file::FileTransport;
#[cfg(feature = "smtp")]
use crate::transport::smtp::{RelayUrl, SmtpTransport, Timeouts};
use crate::uri;

/// Why a part could not be opened. Its text names the setting and never repeats a URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The store did not open.
    #[error("DATABASE_URL: {0}")]
    Store(#[from] StoreError),
    /// A setting is faulty.
    #[error("{name}: {detail}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl ConnectError {
    /// Whether trying again a little later may help: a database that is still starting.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable(_) | StoreError::Overloaded(_)))
    }
}

fn faulty(name: &'static str, detail: impl Into<String>) -> ConnectError {
    ConnectError::Setting { name, detail: detail.into() }
}

/// The part of a URL before `://`.
fn scheme(url: &SecretString) -> &str {
    url.expose_secret().split_once("://").map_or("", |(scheme, _)| scheme)
}

/// Notes what is wrong with a database URL, without opening it.
///
/// # Errors
///
/// [`ConnectError::Setting`]
pub fn check_store(url: &SecretString) -> Result<(), ConnectError> {
    match scheme(url) {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            PostgresStore::check(url).map_err(|error| faulty("DATABASE_URL", error.to_string()))
        }
        #[cfg(feature = "sqlite")]
        "sqlite" => path("DATABASE_URL", url).map(drop),
        _ => Err(unknown_store()),
    }
}

/// Opens the store behind a `postgres://` or `sqlite://` URL, with calls gathered into batches. Needs a tokio runtime.
///
/// # Errors
///
/// [`ConnectError`]
pub async fn store(url: &SecretString, migrate: bool) -> Result<Arc<dyn MessageStore>, ConnectError> {
    store_with(url, StoreOptions { migrate, ..StoreOptions::default() }).await
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Whether to bring the tables up to date. Default true.
    pub migrate: bool,
    /// Whether a Postgres server may have `fsync`, `full_page_writes` or `synchronous_commit` off, and lose accepted mail
    /// in a crash. Default false.
    pub allow_unsafe: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { migrate: true, allow_unsafe: false }
    }
}

/// The same, told how.
///
/// # Errors
///
/// [`ConnectError`]
pub async fn store_with(
    url: &SecretString,
    options: StoreOptions,
) -> Result<Arc<dyn MessageStore>, ConnectError> {
    check_store(url)?;
    Ok(Arc::new(Batched::new(open_store(url, options).await?)))
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
async fn open_store(
    url: &SecretString,
    options: StoreOptions,
) -> Result<Arc<dyn MessageStore>, ConnectError> {
    let migrate = options.migrate;
    match scheme(url) {
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let options = SqliteOptions { migrate, ..SqliteOptions::default() };
            Ok(Arc::new(SqliteStore::open(path("DATABASE_URL", url)?, &options).await?))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let options =
                PostgresOptions { migrate, allow_unsafe: options.allow_unsafe, ..PostgresOptions::default() };
            Ok(Arc::new(PostgresStore::open(url, &options).await?))
        }
        _ => Err(unknown_store()),
    }
}

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
async fn open_store(_: &SecretString, _: StoreOptions) -> Result<Arc<dyn MessageStore>, ConnectError> {
    Err(unknown_store())
}

fn unknown_store() -> ConnectError {
    faulty("DATABASE_URL", "must begin with postgres:// or sqlite://FILE (of those built in)")
}

/// The file or directory that a URL names.
fn path(name: &'static str, url: &SecretString) -> Result<PathBuf, ConnectError> {
    let path = uri::path(url.expose_secret()).map_err(|error| faulty(name, error.to_string()))?;
    match path.as_os_str().is_empty() {
        true => Err(faulty(name, format!("must name a path: {}://PATH", scheme(url)))),
        false => Ok(path),
    }
}

/// Opens the queue behind a `redis://` or `rediss://` URL, or one in this process. It connects when it is first used:
/// a Redis that is out of reach keeps nobody from starting.
///
/// # Errors
///
/// [`ConnectError::Setting`]
pub fn queue(url: Option<&SecretString>, name: &str) -> Result<Arc<dyn Queue>, ConnectError> {
    match url {
        None => Ok(Arc::new(LocalQueue::new())),
        Some(url) if ["redis", "rediss"].contains(&scheme(url)) => redis(url, name),
        Some(_) => Err(faulty("REDIS_URL", "must begin with redis:// or rediss://")),
    }
}

#[cfg(feature = "redis")]
fn redis(url: &SecretString, name: &str) -> Result<Arc<dyn Queue>, ConnectError> {
    let options = RedisOptions { name: name.to_owned(), ..RedisOptions::default() };
    let queue = RedisQueue::open(url, options).map_err(|error| faulty("REDIS_URL", error.to_string()))?;
    Ok(Arc::new(queue))
}

#[cfg(not(feature = "redis"))]
fn redis(_: &SecretString, _: &str) -> Result<Arc<dyn Queue>, ConnectError> {
    Err(faulty("REDIS_URL", "must not be set: Redis is not built in"))
}

/// Whether mail is written to files instead of sent.
#[must_use]
pub fn writes_files(relays: &SecretString) -> bool {
    scheme(relays) == "file"
}

/// Opens the transport for comma-separated `smtp://` and `smtps://` relays in order, or one `file://DIR`. Connects when
/// the first message is sent.
///
/// # Errors
///
/// [`ConnectError::Setting`]
pub fn transport(relays: &SecretString) -> Result<Arc<dyn Transport>, ConnectError> {
    if writes_files(relays) {
        return match relays.expose_secret().contains(',') {
            true => {
                Err(faulty("SMTP_URL", "must be one file://DIR and no relay (inside a path write , as %2C)"))
            }
            false => Ok(Arc::new(FileTransport::new(path("SMTP_URL", relays)?))),
        };
    }
    smtp(relays)
}

#[cfg(feature = "smtp")]
fn smtp(relays: &SecretString) -> Result<Arc<dyn Transport>, ConnectError> {
    let parse = |text: &str| text.trim().parse::<RelayUrl>();
    let relays: Result<Vec<RelayUrl>, _> = relays.expose_secret().split(',').map(parse).collect();
    let relays = relays.map_err(|error| faulty("SMTP_URL", error.to_string()))?;
    let transport = SmtpTransport::open(relays, Timeouts::default());
    Ok(Arc::new(transport.map_err(|error| faulty("SMTP_URL", error.to_string()))?))
}

#[cfg(not(feature = "smtp"))]
fn smtp(_: &SecretString) -> Result<Arc<dyn Transport>, ConnectError> {
    Err(faulty("SMTP_URL", "must be file://DIR: SMTP is not built in"))
}
