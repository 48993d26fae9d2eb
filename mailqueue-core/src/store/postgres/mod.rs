//! The record on Postgres 13 and later.

mod claim;
mod connection;
mod divide;
mod error;
mod insert;
mod json;
mod migrate;
mod octets;
mod pool;
mod probe;
mod read;
mod reserve;
mod row;
mod run;
mod server;
mod session;
mod settle;
mod state;
mod statement;
mod sweep;
mod value;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel_async::AsyncPgConnection;
use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::contracts::queue::Entry;
use crate::contracts::store::{
    Backlog, Change, Changed, Claims, Idempotency, Inserted, LeaseTerms, MessageStore, Probe, Pruned,
    Reclaimed, Renewal, Retention, Settled, Settlement, StoreError, Submission,
};
use crate::contracts::store::{Filter, Page};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::record::Record;
use crate::domain::transition::DeliveryPolicy;
use connection::Target;
use divide::divided;
use pool::Pool;
use probe::{Admission, Space};
use run::{Failure, Purpose};

pub use connection::PostgresOptions;

/// A [`MessageStore`] on Postgres, by diesel and without libpq.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    /// How long any call may take in all: what a server that has been frozen keeps a caller.
    limit: Duration,
    /// The row that this store writes to show that it can.
    prober: Uuid,
    space: Arc<Space>,
    /// How much space is kept for results, in octets.
    reserve: u64,
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

impl PostgresStore {
    /// Opens the database behind a `postgres://` URL and, unless the options say no, brings its tables up to date; of
    /// several processes that start together one does it and the others wait.
    ///
    /// Understood besides what the driver knows: `sslmode=require|verify-ca|verify-full` (TLS, the certificate is
    /// always checked) and `sslrootcert=FILE`. Behind PgBouncer in transaction mode, which is recognised, statements have
    /// no names and settings are asked for in each transaction; `prepare=false` asks for this behind any other pooler.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when it cannot be reached, [`StoreError::Refused`] when the URL is faulty, the
    /// tables are a newer version's, the database's encoding is not UTF8, or the server may lose what it has committed and
    /// the options do not allow that. No error repeats the URL.
    pub async fn open(url: &SecretString, options: &PostgresOptions) -> Result<Self, StoreError> {
        let mut target = Target::parse(url, options)?;
        let mut first = target.connect_first().await?;
        server::check(&mut first, options.allow_unsafe).await?;
        migrate::migrate(first, options.migrate).await?;
        let limit = options.patience + options.statement + Duration::from_secs(1);
        let (prober, space) = (Uuid::from_u128(fastrand::u128(..)), Arc::default());
        let pool = Pool::new(target, options).await?;
        let store = Self { pool, limit, prober, space, reserve: options.reserve };
        if let Err(error) = store.keep_reserve().await {
            tracing::warn!(%error, "no space is kept for results");
        }
        Ok(store)
    }

    /// Says what is wrong with a URL, without connecting.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`], without any part of the URL.
    pub fn check(url: &SecretString) -> Result<(), StoreError> {
        Target::parse(url, &PostgresOptions::default()).map(|_| ())
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

    /// Inserts together, and apart what cannot be inserted together.
    async fn insert_all(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        divided(submissions, |part| {
            let store = self.clone();
            Box::pin(async move { store.insert_together(part).await })
        })
        .await
    }

    /// Whether new messages may be inserted. After a shortage they may when the reserve is kept again; a role that may not
    /// keep one has to try.
    async fn has_space(&self) -> bool {
        match self.space.admits() {
            Admission::Yes => true,
            Admission::No => false,
            Admission::Perhaps => !matches!(self.keep_reserve().await, Err(StoreError::NoSpace(_))),
        }
    }

    async fn keep_reserve(&self) -> Result<(), StoreError> {
        let octets = self.reserve;
        if octets == 0 {
            return Ok(());
        }
        self.run_for(Purpose::NewMail, move |connection| Box::pin(reserve::keep(connection, octets))).await
    }

    /// Learns from inserts whether there is space, and tells other processes.
    async fn note_space(&self, results: &[Result<Inserted, StoreError>]) {
        let refused = results.iter().any(|result| matches!(result, Err(StoreError::NoSpace(_))));
        if (refused || results.iter().any(Result::is_ok)) && self.space.note(refused) {
            let prober = self.prober;
            let told =
                self.run(move |connection| Box::pin(probe::note_refusal(connection, prober, refused))).await;
            if let Err(error) = told {
                tracing::debug!(%error, refused, "other processes are not told of the space");
            }
        }
    }

    async fn insert_together(&self, submissions: Vec<Arc<Submission>>) -> Result<Vec<Inserted>, StoreError> {
        self.run_for(Purpose::NewMail, move |connection| {
            let submissions = submissions.clone();
            Box::pin(async move {
                let octets = submissions.iter().map(|submission| submission.size()).sum();
                let inserted = insert::insert(connection, submissions).await?;
                connection.let_go_after(octets);
                Ok(inserted)
            })
        })
        .await
    }

    async fn claim_together(&self, ids: Vec<MessageId>, terms: LeaseTerms) -> Result<Claims, StoreError> {
        // Not given up: a claim that took effect after its caller had left would be a lease nobody works under.
        self.run_on(Purpose::Results, move |connection| {
            Box::pin(claim::claim(connection, ids.clone(), terms.clone()))
        })
        .await
    }

    async fn renew_together(
        &self,
        renewals: Vec<Renewal>,
        duration: Duration,
    ) -> Result<Vec<bool>, StoreError> {
        self.run(move |connection| Box::pin(claim::renew(connection, renewals.clone(), duration))).await
    }

    /// Ends leases one by one, so that a row the database lets nobody change keeps only its own.
    async fn reclaim_apart(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        let expired =
            self.run(move |connection| Box::pin(sweep::expired(connection, expired_before, limit))).await?;
        let mut reclaimed = Vec::with_capacity(expired.len());
        for id in expired {
            let one = self
                .run(move |connection| Box::pin(sweep::reclaim_one(connection, id, expired_before, policy)));
            match one.await {
                Ok(one) => reclaimed.extend(one),
                Err(StoreError::Refused(reason)) => unreadable::tell_refused("reclaim", reason.message()),
                Err(error) if reclaimed.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(reclaimed)
    }

    /// Writes down without its texts what cannot be written down with them.
    async fn settle_reduced(
        &self,
        settlement: &Settlement,
        refusal: StoreError,
    ) -> Result<Settled, StoreError> {
        let settled = self.settle_together(vec![Arc::new(settlement.reduced())]).await?;
        unreadable::tell_reduced(settlement.lease.id, &refusal);
        settled.first().copied().ok_or(refusal)
    }

    async fn settle_together(&self, settlements: Vec<Arc<Settlement>>) -> Result<Vec<Settled>, StoreError> {
        self.run(move |connection| Box::pin(settle::settle(connection, settlements.clone()))).await
    }
}

#[async_trait]
impl MessageStore for PostgresStore {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        if !self.has_space().await {
            let full = StoreError::NoSpace("the server had none a moment ago".into());
            return vec![Err(full); submissions.len()];
        }
        let results = self.insert_all(submissions).await;
        self.note_space(&results).await;
        results
    }

    async fn find_by_key(&self, key: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        let key = key.clone();
        self.run(move |connection| Box::pin(insert::find_by_key(connection, key.clone()))).await
    }

    async fn get(&self, tenant: Option<&str>, id: MessageId) -> Result<Option<Record>, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.run(move |connection| Box::pin(read::get(connection, tenant.clone(), id))).await
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        let filter = filter.clone();
        self.run(move |connection| Box::pin(read::list(connection, filter.clone()))).await
    }

    async fn claim(&self, ids: &[MessageId], terms: &LeaseTerms) -> Result<Claims, StoreError> {
        let claims = divided(ids.to_vec(), |part| {
            let (store, terms) = (self.clone(), terms.clone());
            Box::pin(async move { Ok(vec![store.claim_together(part, terms).await?]) })
        });
        let mut all = Claims::default();
        for claims in claims.await {
            match claims {
                Ok(Claims { leased, too_large }) => {
                    all.leased.extend(leased);
                    all.too_large.extend(too_large);
                }
                Err(StoreError::Refused(reason)) => unreadable::tell_refused("claim", reason.message()),
                // What was leased before it went away is handed over all the same.
                Err(error) if all.leased.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(all)
    }

    async fn renew(&self, renewals: Vec<Renewal>, duration: Duration) -> Result<Vec<bool>, StoreError> {
        let renewed = divided(renewals, |part| {
            let store = self.clone();
            Box::pin(async move { store.renew_together(part, duration).await })
        });
        // A lease that may not be written is as good as lost.
        let held = renewed.await.into_iter().map(|held| match held {
            Err(StoreError::Refused(_)) => Ok(false),
            held => held,
        });
        held.collect()
    }

    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        let settled = divided(settlements.clone(), |part| {
            let store = self.clone();
            Box::pin(async move { store.settle_together(part).await })
        });
        let mut results = settled.await;
        for (result, settlement) in results.iter_mut().zip(&settlements) {
            if let Err(refusal @ StoreError::Refused(_)) = result {
                *result = self.settle_reduced(settlement, refusal.clone()).await;
            }
        }
        results
    }

    async fn due(
        &self,
        lane: Lane,
        before: Option<OffsetDateTime>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.run(move |connection| Box::pin(sweep::due(connection, lane, before, limit))).await
    }

    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        let policy = *policy;
        let together =
            self.run(move |connection| Box::pin(sweep::reclaim(connection, expired_before, limit, policy)));
        match together.await {
            Err(StoreError::Refused(_)) => self.reclaim_apart(expired_before, limit, policy).await,
            reclaimed => reclaimed,
        }
    }

    async fn change(
        &self,
        tenant: Option<&str>,
        id: MessageId,
        change: Change,
    ) -> Result<Changed, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.run(move |connection| Box::pin(read::change(connection, tenant.clone(), id, change))).await
    }

    async fn probe(&self) -> Result<Probe, StoreError> {
        let prober = self.prober;
        self.run(move |connection| Box::pin(probe::probe(connection, prober))).await
    }

    async fn backlog(&self, count: u64) -> Result<Backlog, StoreError> {
        self.run(move |connection| Box::pin(sweep::backlog(connection, count))).await
    }

    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError> {
        let retention = *retention;
        self.run(move |connection| Box::pin(sweep::prune(connection, retention, limit))).await
    }
}
