//! The store on SQLite: one file, one process, nothing to install.
//!
//! One thread writes. All that waits goes into one transaction, and no caller is answered before that is on the disk;
//! so many small requests cost one wait for the disk. Two more threads read beside it, one the messages that are due
//! and one the records for people, so that neither holds up the other.

mod change;
mod claim;
mod connection;
mod controls;
mod delivery;
mod due;
mod error;
mod insert;
mod job;
mod json;
mod list;
mod lock;
mod migrate;
mod pauses;
mod probe;
mod prune;
mod read;
mod reader;
mod reclaim;
mod record;
mod settle;
mod space;
mod statement;
mod thread;
mod time;
mod traffic;
mod workers;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::time::OffsetDateTime;
use async_trait::async_trait;

use self::space::Space;
use self::thread::ConnectionThread;
use super::migration_step::MigrationStep;
use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::queue::Entry;
use crate::contracts::store::{
    Backlog, Change, Changed, Claims, DueRange, Filter, Idempotency, Inserted, LeaseTerms, MessageStore,
    Page, Probe, Pruned, Reclaimed, Renewal, Retention, Settled, Settlement, StoreError, Submission,
};
use crate::domain::id::MessageId;
use crate::domain::record::Record;
use crate::domain::transition::DeliveryPolicy;

/// How a database file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Brings the tables up to date when opening. Default true.
    pub migrate: bool,
    /// How much space of the file system is kept free for results, in octets: with less, new messages are refused.
    /// Default: 64 MiB, or an eighth of a smaller file system.
    pub keep_free: Option<u64>,
    /// Opens a file that is there beside the process that has it, for a few short calls: that process goes on meanwhile.
    /// Default false.
    pub beside: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { migrate: true, keep_free: None, beside: false }
    }
}

/// A [`MessageStore`] in a file. Its threads end when it is dropped, after the work they were given.
pub struct SqliteStore {
    writer: ConnectionThread,
    /// Reads for workers.
    due_reader: ConnectionThread,
    /// Reads for people.
    record_reader: ConnectionThread,
    /// Reads what takes long: messages with their content, and how much waits.
    long_reader: ConnectionThread,
    space: Space,
}

impl SqliteStore {
    /// Opens a database file, creates it where there is none and, unless the options say no, brings its tables up to
    /// date; of several processes that start together one does it and the others wait.
    ///
    /// The file is this store's alone until it is dropped: SQLite is not fair among processes that write, and one that
    /// starves loses its leases. [`SqliteOptions::beside`] is for the exception.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the file stays locked or its disk fails, [`StoreError::Refused`] when it cannot be
    /// written to, another store has it, or the tables are a newer version's, or lack a migration and are not to be changed.
    pub async fn open(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, StoreError> {
        let (path, options) = (path.as_ref().to_owned(), options.clone());
        // Off the runtime, as it may wait seconds for locks and run migrations.
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(&path, &options));
        opening.await.unwrap_or_else(|error| Err(StoreError::Unavailable(ErrorDetail::of(error))))
    }

    /// The steps of the tables, and which of them have run. Changes nothing; of a file that is not there none has.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn migrations(path: impl AsRef<Path>) -> Result<Vec<MigrationStep>, StoreError> {
        let path = path.as_ref().to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            // A file is not made only to be read.
            let mut connection = match path.exists() {
                true => connection::open(&path)?,
                false => connection::open_in_memory()?,
            };
            Ok(migrate::steps(&mut connection))
        });
        reading.await.unwrap_or_else(|error| Err(StoreError::Unavailable(ErrorDetail::of(error))))
    }

    fn open_blocking(path: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        // Before the database: opening and closing that would end the locks of a store that has it.
        let lock = match options.beside {
            true if !path.exists() => return Err(StoreError::Unavailable("there is no such file".into())),
            true => None,
            false => Some(Arc::new(lock::take(path)?)),
        };
        let mut connection = connection::open(path)?;
        let space = Space::beside(path, options.keep_free);
        connection::limit_log(&mut connection, space.log())?;
        migrate::migrate(&mut connection, options.migrate)?;
        let start = |name, connection, serve| {
            ConnectionThread::start(name, connection, serve, lock.clone())
                .map_err(|error| StoreError::Unavailable(ErrorDetail::of(error)))
        };
        Ok(Self {
            writer: start("write", connection, writer::serve)?,
            due_reader: start("due", connection::open(path)?, reader::serve)?,
            record_reader: start("read", connection::open(path)?, reader::serve)?,
            long_reader: start("read-long", connection::open(path)?, reader::serve)?,
            space,
        })
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl MessageStore for SqliteStore {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        insert::insert(&self.writer, &self.space, submissions).await
    }

    async fn find_by_key(&self, key: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        let key = key.clone();
        self.record_reader.run(move |t| insert::find_by_key(t, &key)).await
    }

    async fn get(&self, tenant: Option<&str>, id: MessageId) -> Result<Option<Record>, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.long_reader.run(move |t| read::get(t, tenant.as_deref(), id)).await
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        let filter = filter.clone();
        self.record_reader.run(move |t| list::list(t, &filter)).await
    }

    async fn claim(&self, ids: &[MessageId], terms: &LeaseTerms) -> Result<Claims, StoreError> {
        let (ids, terms) = (ids.to_owned(), terms.clone());
        self.writer.run(move |t| claim::claim(t, &ids, &terms)).await
    }

    async fn renew(&self, renewals: Vec<Renewal>, duration: Duration) -> Result<Vec<bool>, StoreError> {
        self.writer.run(move |t| claim::renew(t, &renewals, duration)).await
    }

    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        settle::settle(&self.writer, settlements).await
    }

    async fn due(&self, ranges: &[DueRange]) -> Result<Vec<Entry>, StoreError> {
        let ranges = ranges.to_vec();
        self.due_reader.run(move |t| due::due(t, &ranges)).await
    }

    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        let policy = *policy;
        self.writer.run(move |t| reclaim::reclaim(t, expired_before, limit, &policy)).await
    }

    async fn change(
        &self,
        tenant: Option<&str>,
        id: MessageId,
        change: Change,
    ) -> Result<Changed, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.writer.run(move |t| change::change(t, tenant.as_deref(), id, change)).await
    }

    async fn probe(&self) -> Result<Probe, StoreError> {
        let has_space = self.space.admits(0);
        self.writer.run(move |t| probe::probe(t, has_space)).await
    }

    async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        self.due_reader.run(|t| time::time(t.now)).await
    }

    async fn backlog(&self, count: u64) -> Result<Backlog, StoreError> {
        self.long_reader.run(move |t| due::backlog(t, count)).await
    }

    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError> {
        let retention = *retention;
        self.writer.run(move |t| prune::prune(t, &retention, limit)).await
    }
}
