//! Opening the parts by URL: the one place that names implementations.

mod preflight;

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::contracts::controls::Controls;
use crate::contracts::queue::Queue;
use crate::contracts::store::{MessageStore, StoreError};
use crate::contracts::transport::Transport;
use crate::queue::local::LocalQueue;
#[cfg(feature = "redis")]
use crate::queue::redis::{RedisOptions, RedisQueue};
use crate::store::batched::{Batched, CallsAtOnce};
use crate::store::migration_step::MigrationStep;
#[cfg(feature = "postgres")]
use crate::store::postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::transport::file::FileTransport;
#[cfg(feature = "smtp")]
use crate::transport::smtp::{RelayUrl, SmtpTransport, Timeouts};
use crate::uri;

pub use preflight::{check_directory, queue_name, store_name, transport_names, unresolved_relays};

/// A part that is opened by URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The store.
    Store,
    /// The queue.
    Queue,
    /// The transport.
    Transport,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "store",
            Self::Queue => "queue",
            Self::Transport => "transport",
        })
    }
}

/// The reason why a part could not be opened. Its text names the part and never repeats a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The store did not open.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// A URL is faulty.
    #[error("{part}: {detail}")]
    Url {
        /// The part it is to open.
        part: Part,
        /// A sentence that says what would be right.
        detail: String,
    },
}

impl ConnectError {
    /// True if the same call may succeed a little later: a database that is still starting.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        // A disk that is full stays so for longer than anybody waits for a start.
        matches!(self, Self::Store(StoreError::Unavailable(_) | StoreError::Overloaded(_)))
    }

    /// The part that did not open.
    #[must_use]
    pub fn part(&self) -> Part {
        match self {
            Self::Store(_) => Part::Store,
            Self::Url { part, .. } => *part,
        }
    }

    /// The text without the name of the part.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Store(error) => error.to_string(),
            Self::Url { detail, .. } => detail.clone(),
        }
    }
}

fn faulty(part: Part, detail: impl Into<String>) -> ConnectError {
    ConnectError::Url { part, detail: detail.into() }
}

/// The part of a URL before `://`.
fn scheme(url: &SecretString) -> &str {
    url.expose_secret().split_once("://").map_or("", |(scheme, _)| scheme)
}

/// Checks the URL of a store without opening it.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn check_store(url: &SecretString) -> Result<(), ConnectError> {
    match scheme(url) {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            PostgresStore::check(url).map_err(|error| faulty(Part::Store, error.to_string()))
        }
        #[cfg(feature = "sqlite")]
        "sqlite" => path(Part::Store, url).map(drop),
        _ => Err(unknown_store()),
    }
}

/// Opens the store behind a `postgres://` or `sqlite://` URL, with calls gathered into batches. Needs a tokio runtime.
///
/// # Errors
///
/// [`ConnectError`]
pub async fn store(url: &SecretString) -> Result<Arc<dyn MessageStore>, ConnectError> {
    store_with(url, StoreOptions::default()).await
}

/// The options of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// True if to bring the tables up to date. Default true.
    pub migrate: bool,
    /// True if a Postgres server may have `fsync`, `full_page_writes` or `synchronous_commit` off, and lose accepted mail
    /// in a crash. Default false.
    pub allow_unsafe: bool,
    /// True for a few short calls beside the processes that do the work: a SQLite file is opened although another process
    /// has it, and nothing is set aside. Default false.
    pub beside: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { migrate: true, allow_unsafe: false, beside: false }
    }
}

/// The same with options.
///
/// # Errors
///
/// [`ConnectError`]
pub async fn store_with(
    url: &SecretString,
    options: StoreOptions,
) -> Result<Arc<dyn MessageStore>, ConnectError> {
    Ok(database(url, options).await?.store)
}

/// A database with everything that is kept in it.
#[derive(Clone)]
pub struct Database {
    /// The messages; calls are gathered into batches.
    pub store: Arc<dyn MessageStore>,
    /// Pauses, workers and traffic.
    pub controls: Arc<dyn Controls>,
}

/// Opens the store with the controls beside it, on the same connections. Needs a tokio runtime.
///
/// # Errors
///
/// [`ConnectError`]
pub async fn database(url: &SecretString, options: StoreOptions) -> Result<Database, ConnectError> {
    // Checks first, so that a faulty URL is always `Url`: opening would report it as a fault of the store.
    check_store(url)?;
    let Database { store, controls } = open_database(url, options).await?;
    Ok(Database { store: Arc::new(Batched::with_calls(store, calls_at_once(url))), controls })
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
async fn open_database(url: &SecretString, options: StoreOptions) -> Result<Database, ConnectError> {
    let migrate = options.migrate;
    match scheme(url) {
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let options = SqliteOptions { migrate, beside: options.beside, ..SqliteOptions::default() };
            let store = Arc::new(SqliteStore::open(path(Part::Store, url)?, &options).await?);
            Ok(Database { store: Arc::clone(&store) as Arc<dyn MessageStore>, controls: store })
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let default = PostgresOptions::default();
            // What is set aside is there already, and kept by those that do the work.
            let reserve = if options.beside { 0 } else { default.reserve };
            let options = PostgresOptions { migrate, reserve, allow_unsafe: options.allow_unsafe, ..default };
            let store = Arc::new(PostgresStore::open(url, &options).await?);
            Ok(Database { store: Arc::clone(&store) as Arc<dyn MessageStore>, controls: store })
        }
        _ => Err(unknown_store()),
    }
}

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
async fn open_database(_: &SecretString, _: StoreOptions) -> Result<Database, ConnectError> {
    Err(unknown_store())
}

/// The steps of a store's tables, and which of them have run. Changes nothing.
///
/// # Errors
///
/// [`ConnectError`]
pub async fn migrations(url: &SecretString) -> Result<Vec<MigrationStep>, ConnectError> {
    check_store(url)?;
    match scheme(url) {
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(SqliteStore::migrations(path(Part::Store, url)?).await?),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(PostgresStore::migrations(url, &PostgresOptions::default()).await?),
        _ => Err(unknown_store()),
    }
}

/// The calls that a store gains by. With all of them under way, one of eight connections to Postgres is left for
/// everything else; in SQLite one thread writes.
fn calls_at_once(url: &SecretString) -> CallsAtOnce {
    let one = NonZeroU32::MIN;
    match scheme(url) {
        "sqlite" => CallsAtOnce::default(),
        _ => CallsAtOnce { inserts: one.saturating_add(2), results: one.saturating_add(1) },
    }
}

fn unknown_store() -> ConnectError {
    faulty(Part::Store, "must begin with postgres:// or sqlite://FILE (of those built in)")
}

/// The file or directory that a URL names.
fn path(part: Part, url: &SecretString) -> Result<PathBuf, ConnectError> {
    let path = uri::path(url.expose_secret()).map_err(|error| faulty(part, error.to_string()))?;
    match path.as_os_str().is_empty() {
        true => Err(faulty(part, format!("must name a path: {}://PATH", scheme(url)))),
        false => Ok(path),
    }
}

/// The options of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// The name that keeps queues in one Redis apart. Default `default`.
    pub name: String,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { name: "default".to_owned() }
    }
}

/// Opens the queue behind a `redis://` or `rediss://` URL, or without one a queue in this process. It connects when it is
/// first used, so the process starts also while Redis is out of reach.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn queue(url: Option<&SecretString>) -> Result<Arc<dyn Queue>, ConnectError> {
    queue_with(url, QueueOptions::default())
}

/// The same with options.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn queue_with(url: Option<&SecretString>, options: QueueOptions) -> Result<Arc<dyn Queue>, ConnectError> {
    match url {
        None => Ok(Arc::new(LocalQueue::new())),
        Some(url) if ["redis", "rediss"].contains(&scheme(url)) => redis(url, options),
        Some(_) => Err(faulty(Part::Queue, "must begin with redis:// or rediss://")),
    }
}

#[cfg(feature = "redis")]
fn redis(url: &SecretString, options: QueueOptions) -> Result<Arc<dyn Queue>, ConnectError> {
    let options = RedisOptions { name: options.name, ..RedisOptions::default() };
    let queue = RedisQueue::open(url, options).map_err(|error| faulty(Part::Queue, error.to_string()))?;
    Ok(Arc::new(queue))
}

#[cfg(not(feature = "redis"))]
fn redis(_: &SecretString, _: QueueOptions) -> Result<Arc<dyn Queue>, ConnectError> {
    Err(faulty(Part::Queue, "must not be set: Redis is not built in"))
}

/// True if mail is written to files instead of sent.
#[must_use]
pub fn writes_files(relays: &SecretString) -> bool {
    scheme(relays) == "file"
}

/// Opens the transport for comma-separated `smtp://` and `smtps://` relays in order, or one `file://DIR`. Connects when
/// the first message is sent.
///
/// # Errors
///
/// [`ConnectError::Url`]
pub fn transport(relays: &SecretString) -> Result<Arc<dyn Transport>, ConnectError> {
    if writes_files(relays) {
        // Refuses a comma: a list of relays that begins with file:// would become one odd path.
        return match relays.expose_secret().contains(',') {
            true => Err(faulty(
                Part::Transport,
                "must be one file://DIR and no relay (inside a path write , as %2C)",
            )),
            false => Ok(Arc::new(FileTransport::new(path(Part::Transport, relays)?))),
        };
    }
    smtp(relays)
}

#[cfg(feature = "smtp")]
fn smtp(relays: &SecretString) -> Result<Arc<dyn Transport>, ConnectError> {
    let transport = SmtpTransport::open(relay_urls(relays)?, Timeouts::default());
    Ok(Arc::new(transport.map_err(|error| faulty(Part::Transport, error.to_string()))?))
}

#[cfg(feature = "smtp")]
fn relay_urls(relays: &SecretString) -> Result<Vec<RelayUrl>, ConnectError> {
    let urls = relays.expose_secret().split(',').map(|text| text.trim().parse::<RelayUrl>());
    urls.collect::<Result<_, _>>().map_err(|error| faulty(Part::Transport, error.to_string()))
}

#[cfg(not(feature = "smtp"))]
fn smtp(_: &SecretString) -> Result<Arc<dyn Transport>, ConnectError> {
    Err(faulty(Part::Transport, "must be file://DIR: SMTP is not built in"))
}
