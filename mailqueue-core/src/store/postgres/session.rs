//! A connection to Postgres that diesel's statements run on.
//!
//! diesel-async's own connection lacks what we need: an error's SQLSTATE, statements without a name (a pooler in
//! transaction mode knows no prepared ones), and a start that sets nothing for the session.

use std::any::TypeId;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::{CacheSize, Instrumentation};
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AsQuery, QueryBuilder, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::TransactionManager;
use diesel_async::{AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, TryStreamExt};
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, Connection, Row, SimpleQueryMessage, Socket, Statement};
use tokio_util::task::AbortOnDropHandle;

use super::error::DriverError;
use super::value::{Bind, NoTypes, PgRow, records};

/// How many octets may go over a connection in one statement without its being closed afterwards.
// As much as a gathered insert carries, so that gathering alone costs no connection.
const MAX_KEPT_OCTETS: usize = 4 << 20;

/// How statements are run.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    /// On a server's own connection: settings hold since it was opened, and a statement is prepared once.
    Direct,
    /// By way of a pooler that gives each transaction another connection of the server: nothing is kept from one to the
    /// next. Settings are asked for in each transaction by this, which begins it, and statements have no names.
    Pooled(Arc<str>),
}

impl Mode {
    pub(super) fn is_direct(&self) -> bool {
        matches!(self, Self::Direct)
    }
}

/// Connections that were opened before the last answer that says that their server is going or takes no writes are of
/// no use.
pub(super) type Generation = Arc<AtomicU64>;

/// A connection, and what is prepared on it.
pub(super) struct Session {
    client: Client,
    statements: HashMap<TypeId, Statement>,
    transactions: AnsiTransactionManager,
    mode: Mode,
    newest: Generation,
    opened_in: u64,
    is_broken: bool,
    answered: Instant,
    instrumentation: Option<Box<dyn Instrumentation>>,
    _driver: AbortOnDropHandle<()>,
}

/// A statement ready to go.
struct Call {
    id: Option<TypeId>,
    known: Option<Statement>,
    sql: String,
    binds: Vec<Bind>,
}

impl Session {
    /// Drives a connection in a task of its own, which ends with the session.
    pub(super) fn new<S>(
        client: Client,
        connection: Connection<Socket, S>,
        mode: Mode,
        newest: &Generation,
    ) -> Self
    where
        S: TlsStream + Unpin + Send + 'static,
    {
        let driver = tokio::spawn(async move {
            // The error is not lost: the client passes the end on to all who wait for an answer.
            let _ = connection.await;
        });
        Self {
            client,
            statements: HashMap::new(),
            transactions: AnsiTransactionManager::default(),
            mode,
            newest: Arc::clone(newest),
            // Relaxed: the number alone is compared, and no other memory is read because of it.
            opened_in: newest.load(Ordering::Relaxed),
            is_broken: false,
            answered: Instant::now(),
            instrumentation: None,
            _driver: AbortOnDropHandle::new(driver),
        }
    }

    /// Changes how statements are run from now on.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Tells whether it must not be used again.
    pub(super) fn is_broken(&mut self) -> bool {
        self.is_broken
            || self.client.is_closed()
            || self.opened_in != self.newest.load(Ordering::Relaxed)
            || AnsiTransactionManager::is_broken_transaction_manager(self)
    }

    /// Has the pool close it, once it is given back, if so much has just gone over it. The driver keeps three buffers
    /// as large as the largest that they have held: with as many connections as there are, more than all the mail
    /// under way.
    pub(super) fn close_if_larger_than(&mut self, octets: usize) {
        self.is_broken |= octets > MAX_KEPT_OCTETS;
    }

    /// Tells whether the server has answered nothing for this long.
    pub(super) fn was_idle_for(&self, time: Duration) -> bool {
        self.answered.elapsed() >= time
    }

    /// Asks the server for nothing, which shows that it is there.
    pub(super) async fn check(&mut self) -> Result<(), Error> {
        self.simple_query("").await?;
        self.answered = Instant::now();
        Ok(())
    }

    /// Runs SQL without parameters and returns the rows as text.
    pub(super) async fn simple_query(&mut self, sql: &str) -> QueryResult<Vec<Vec<Option<String>>>> {
        let answer = self.client.simple_query(sql).await;
        let messages = answer.map_err(|error| self.fail(error))?;
        Ok(messages.iter().filter_map(texts).collect())
    }

    /// Notes what an error says of this connection, and of all to the same server.
    fn fail(&mut self, error: tokio_postgres::Error) -> Error {
        let error = DriverError::from(error);
        if error.is_of_connection() {
            self.is_broken = true;
            // One step for all connections of this age, however many of them fail.
            let _ = self.newest.compare_exchange(
                self.opened_in,
                self.opened_in + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        Error::QueryBuilderError(Box::new(error))
    }

    fn call<T: QueryFragment<Pg> + QueryId>(&self, query: &T) -> QueryResult<Call> {
        let mut binds = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut binds, &mut NoTypes, &Pg)?;
        let id = T::query_id();
        let known = id.and_then(|id| self.statements.get(&id)).cloned();
        let mut sql = PgQueryBuilder::default();
        // Only preparing needs the text; behind a pooler no statement is ever known.
        if known.is_none() {
            query.to_sql(&mut sql, &Pg)?;
        }
        let binds = binds.metadata.iter().zip(binds.binds).map(|(kind, octets)| Bind::new(kind, octets));
        Ok(Call { id, known, sql: sql.finish(), binds: binds.collect::<QueryResult<_>>()? })
    }

    /// Runs a statement to its end, in a transaction of its own where settings are asked for in each.
    async fn exchange(&mut self, call: Call) -> QueryResult<(Vec<Row>, u64)> {
        let depth = AnsiTransactionManager::transaction_manager_status_mut(self).transaction_depth()?;
        let Mode::Pooled(opening) = self.mode.clone() else { return self.send(call).await };
        // The transaction that is open has begun with the settings.
        if depth.is_some() {
            return self.send(call).await;
        }
        self.execute(&opening).await?;
        let answer = self.send(call).await;
        let end = if answer.is_ok() { "COMMIT" } else { "ROLLBACK" };
        match (answer, self.execute(end).await) {
            // Without its commit an answer is worth nothing.
            (Ok(_), Err(error)) => Err(error),
            (answer, ended) => {
                self.is_broken |= ended.is_err();
                answer
            }
        }
    }

    async fn send(&mut self, call: Call) -> QueryResult<(Vec<Row>, u64)> {
        let answer = self.try_send(call).await;
        self.answered = Instant::now();
        answer.map_err(|error| self.fail(error))
    }

    async fn try_send(&mut self, call: Call) -> Result<(Vec<Row>, u64), tokio_postgres::Error> {
        let Call { id, known, sql, binds } = call;
        let answer = match (&self.mode, known) {
            (Mode::Pooled(_), _) => {
                let typed = binds.into_iter().map(|bind| {
                    let kind = bind.kind().clone();
                    (bind, kind)
                });
                // Without a name: the next transaction may run on another connection of the server.
                self.client.query_typed_raw(&sql, typed).await?
            }
            (Mode::Direct, Some(statement)) => self.client.query_raw(&statement, binds).await?,
            (Mode::Direct, None) => {
                let kinds: Vec<_> = binds.iter().map(|bind| bind.kind().clone()).collect();
                let statement = self.client.prepare_typed(&sql, &kinds).await?;
                if let Some(id) = id {
                    self.statements.insert(id, statement.clone());
                }
                self.client.query_raw(&statement, binds).await?
            }
        };
        let mut answer = pin!(answer);
        let mut rows = Vec::new();
        while let Some(row) = answer.try_next().await? {
            rows.push(row);
        }
        // Known only now: the count comes after the last row.
        Ok((rows, answer.rows_affected().unwrap_or(0)))
    }

    async fn execute(&mut self, sql: &str) -> QueryResult<()> {
        let done = self.client.batch_execute(sql).await;
        done.map_err(|error| self.fail(error))
    }
}

fn texts(message: &SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
}

impl SimpleAsyncConnection for Session {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        match &self.mode {
            // diesel's transactions begin with this word alone.
            Mode::Pooled(opening) if query == "BEGIN" => {
                let opening = Arc::clone(opening);
                self.execute(&opening).await
            }
            _ => self.execute(query).await,
        }
    }
}

impl AsyncConnectionCore for Session {
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Self::Stream<'conn, 'query>>>;
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type Stream<'conn, 'query> = stream::Iter<std::vec::IntoIter<QueryResult<PgRow>>>;
    type Row<'conn, 'query> = PgRow;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        // Written out before the future is made, which must not borrow from the query.
        let call = self.call(&source.as_query());
        async move { Ok(stream::iter(records(self.exchange(call?).await?.0))) }.boxed()
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        let call = self.call(&source);
        async move { Ok(usize::try_from(self.exchange(call?).await?.1).unwrap_or(usize::MAX)) }.boxed()
    }
}

impl AsyncConnection for Session {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(_url: &str) -> ConnectionResult<Self> {
        // Demanded by the trait; a URL alone has neither TLS nor the mode.
        Err(ConnectionError::BadConnection("a session is opened by its target".to_owned()))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = Some(Box::new(instrumentation));
    }

    // Ignored: there are few statements, each prepared once whatever its batch.
    fn set_prepared_statement_cache_size(&mut self, _size: CacheSize) {}
}
