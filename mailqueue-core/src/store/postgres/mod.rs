//! The record on Postgres 13 and later.

mod bisect;
mod change;
mod claim;
mod connection;
mod controls;
mod delivery;
mod due;
mod error;
mod insert;
mod json;
mod list;
mod migrate;
mod pauses;
mod pool;
mod probe;
mod prune;
mod read;
mod reclaim;
mod record;
mod reserve;
mod run;
mod server_settings;
mod session;
mod settle;
mod space;
mod statement;
mod traffic;
mod value;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel_async::AsyncPgConnection;
use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::migration_step::MigrationStep;
use crate::contracts::queue::Entry;
use crate::contracts::store::{
    Backlog, Change, Changed, Claims, DueRange, Filter, Idempotency, Inserted, LeaseTerms, MessageStore,
    Page, Probe, Pruned, Reclaimed, Renewal, Retention, Settled, Settlement, StoreError, Submission,
};
use crate::domain::id::MessageId;
use crate::domain::record::Record;
use crate::domain::transition::DeliveryPolicy;
use connection::Target;
use pool::Pool;
use run::Runner;

pub use connection::PostgresOptions;

/// A [`MessageStore`] on Postgres, by diesel and without libpq.
#[derive(Clone)]
pub struct PostgresStore {
    runner: Runner,
    /// How much space is kept for results, in octets.
    reserve: u64,
}

impl PostgresStore {
    /// Opens the database behind a `postgres://` URL and, unless the options say no, brings its tables up to date; of
    /// several processes that start together one does it and the others wait.
    ///
    /// Understood besides what the driver knows: `sslmode=require|verify-ca|verify-full` (TLS, the certificate is
    /// always checked) and `sslrootcert=FILE`. Behind PgBouncer in transaction mode, which is recognised, statements
    /// have no names and settings are asked for in each transaction; `prepare=false` asks for this behind any other
    /// pooler.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when it cannot be reached, [`StoreError::Refused`] when the URL is faulty, the server
    /// does not let this user in or has no such database, the tables are a newer version's, the database's encoding is not UTF8, or the server may lose what it has committed
    /// and the options do not allow that. No error repeats the URL.
    pub async fn open(url: &SecretString, options: &PostgresOptions) -> Result<Self, StoreError> {
        let mut target = Target::parse(url, options)?;
        let mut first = target.connect_first().await?;
        server_settings::check(&mut first, options.allow_unsafe).await?;
        migrate::migrate(first, options.migrate).await?;
        // A second above both limits, so that their own errors, which say more, come first.
        let timeout = options.connection_timeout + options.statement_timeout + Duration::from_secs(1);
        // Random, so that each process has a row of its own and no prober waits for another.
        let (prober, space) = (Uuid::from_u128(fastrand::u128(..)), Arc::default());
        let runner = Runner { pool: Pool::new(target, options).await?, timeout, prober, space };
        // Not an error: a worker on a full disk has to start, since it sends what waits.
        if let Err(error) = insert::keep_reserve(&runner, options.reserve).await {
            tracing::warn!(event = "store.no_reserve", %error, "no space is kept for results");
        }
        Ok(Self { runner, reserve: options.reserve })
    }

    /// The steps of the tables, and which of them have run. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn migrations(
        url: &SecretString,
        options: &PostgresOptions,
    ) -> Result<Vec<MigrationStep>, StoreError> {
        let session = Target::parse(url, options)?.connect_first().await?;
        migrate::steps(session).await
    }

    /// Says what is wrong with a URL, without connecting.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`], without any part of the URL.
    pub fn check(url: &SecretString) -> Result<(), StoreError> {
        Target::parse(url, &PostgresOptions::default()).map(|_| ())
    }

    /// The server and the database that a URL names, without user, password and parameters.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn name(url: &SecretString) -> Result<String, StoreError> {
        Target::parse(url, &PostgresOptions::default()).map(|target| target.name())
    }

    /// Keeps a prepared submission in a transaction of the host's own, on its own connection: it is accepted iff that
    /// transaction commits. Call [`Outbox::announce`](crate::Outbox::announce) after the commit, or leave it to the
    /// next sweep.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the host's transaction has failed then, as after any failed statement.
    pub async fn insert_within(
        connection: &mut AsyncPgConnection,
        submission: Submission,
    ) -> Result<Inserted, StoreError> {
        let mut inserted = insert::insert_within(connection, vec![Arc::new(submission)]).await?;
        inserted.pop().ok_or_else(|| StoreError::Unreadable("an insert without a result".into()))
    }
}

#[async_trait]
impl MessageStore for PostgresStore {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        insert::insert(&self.runner, self.reserve, submissions).await
    }

    async fn find_by_key(&self, key: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        let key = key.clone();
        self.runner.run(move |connection| Box::pin(insert::find_by_key(connection, key.clone()))).await
    }

    async fn get(&self, tenant: Option<&str>, id: MessageId) -> Result<Option<Record>, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.runner.run(move |connection| Box::pin(read::get(connection, tenant.clone(), id))).await
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        let filter = filter.clone();
        self.runner.run(move |connection| Box::pin(list::list(connection, filter.clone()))).await
    }

    async fn claim(&self, ids: &[MessageId], terms: &LeaseTerms) -> Result<Claims, StoreError> {
        claim::claim(&self.runner, ids, terms).await
    }

    async fn renew(&self, renewals: Vec<Renewal>, duration: Duration) -> Result<Vec<bool>, StoreError> {
        claim::renew(&self.runner, renewals, duration).await
    }

    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        settle::settle(&self.runner, settlements).await
    }

    async fn due(&self, ranges: &[DueRange]) -> Result<Vec<Entry>, StoreError> {
        let ranges = ranges.to_vec();
        self.runner.run(move |connection| Box::pin(due::due(connection, ranges.clone()))).await
    }

    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        reclaim::reclaim(&self.runner, expired_before, limit, *policy).await
    }

    async fn change(
        &self,
        tenant: Option<&str>,
        id: MessageId,
        change: Change,
    ) -> Result<Changed, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.runner
            .run(move |connection| Box::pin(change::change(connection, tenant.clone(), id, change)))
            .await
    }

    async fn probe(&self) -> Result<Probe, StoreError> {
        let prober = self.runner.prober;
        self.runner.run(move |connection| Box::pin(probe::probe(connection, prober))).await
    }

    async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        self.runner.run(move |connection| Box::pin(probe::now(connection))).await
    }

    async fn backlog(&self, count: u64) -> Result<Backlog, StoreError> {
        self.runner.run(move |connection| Box::pin(due::backlog(connection, count))).await
    }

    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError> {
        let retention = *retention;
        self.runner.run(move |connection| Box::pin(prune::prune(connection, retention, limit))).await
    }
}
