//! Connections to Postgres, without libpq.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::TransactionManagerStatus;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, PoolError};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::contracts::store::StoreError;
use crate::uri::Uri;

/// How a database is spoken to.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// How many connections are kept at most. Default 8: statements carry batches.
    pub connections: u32,
    /// How long to wait for a connection. Default 1 s.
    pub patience: Duration,
    /// How long a statement may take. Default 15 s.
    pub statement: Duration,
    /// Whether to bring the tables up to date when opening. Default true.
    pub migrate: bool,
    /// How much space is kept so that results can be written when the disk is full, in octets. Default 8 MiB.
    pub reserve: u64,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        let (patience, statement) = (Duration::from_secs(1), Duration::from_secs(15));
        Self { connections: 8, patience, statement, migrate: true, reserve: 8 << 20 }
    }
}

/// How long connecting may take, login included.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Errors are told apart by their untranslated words. Only a privileged role may ask for them; hosted databases, which give
/// none, mostly speak English anyway.
const IN_ENGLISH: &str = "DO $$ BEGIN PERFORM set_config('lc_messages', 'C', false);
    EXCEPTION WHEN insufficient_privilege THEN NULL; END $$";

pub(super) type Pool = bb8::Pool<AsyncDieselConnectionManager<AsyncPgConnection>>;

/// What connecting needs to know, from the URL and the options.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    /// Reads a `postgres://` URL. `sslmode=require` and above mean TLS with the certificate checked; `sslrootcert`
    /// names a further authority.
    pub(super) fn parse(url: &SecretString, options: &PostgresOptions) -> Result<Self, StoreError> {
        let faulty = |what: &str| StoreError::Refused(format!("the database URL {what}"));
        let mut url = Uri::parse(url.expose_secret()).map_err(|error| faulty(&error.to_string()))?;
        let (tls_mode, authority) = (url.take("sslmode"), url.take("sslrootcert"));
        // The reason names the parameter, and a parameter can be a password.
        let mut config =
            Config::from_str(&url.to_string()).map_err(|_| faulty("has a part Postgres does not know"))?;
        let tls = match tls_mode.as_deref() {
            None | Some("disable" | "allow" | "prefer") => {
                config.ssl_mode(tokio_postgres::config::SslMode::Disable);
                None
            }
            Some("require" | "verify-ca" | "verify-full") => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                Some(tls_connector(authority.as_deref())?)
            }
            Some(_) => return Err(faulty("has an unknown sslmode")),
        };
        set_defaults(&mut config, options);
        Ok(Self { config, tls })
    }

    /// Opens one connection.
    pub(super) async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        // The driver's own limit ends with the TCP handshake, and a server that is frozen still makes that.
        let in_time = tokio::time::timeout(HANDSHAKE, self.handshake()).await;
        in_time
            .unwrap_or_else(|_| Err(ConnectionError::BadConnection("it did not answer in time".to_owned())))
    }

    async fn handshake(&self) -> ConnectionResult<AsyncPgConnection> {
        let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(reason(&error));
        let mut connected = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(tokio_postgres::NoTls).await.map_err(bad)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(bad)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
        };
        connected.batch_execute(IN_ENGLISH).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(connected)
    }

    /// A pool of such connections. It starts empty and mends itself after any outage.
    pub(super) async fn pool(self, options: &PostgresOptions) -> Result<Pool, StoreError> {
        let mut manager = ManagerConfig::default();
        manager.custom_setup = Box::new(move |_| {
            let target = self.clone();
            Box::pin(async move { target.connect().await })
        });
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config("", manager);
        bb8::Pool::builder()
            .max_size(options.connections)
            .connection_timeout(options.patience)
            .error_sink(Box::new(LogSometimes::default()))
            .build(manager)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

/// How many octets may go over a connection in one statement without its being closed afterwards.
const KEPT: usize = 4 << 20;

/// Has the pool close a connection over which so much has just gone, once it is given back. The driver keeps three buffers
/// as large as the largest that they have held: with as many connections as there are, more than all the mail under way.
pub(super) fn let_go_after(octets: usize, connection: &mut AsyncPgConnection) {
    if octets > KEPT {
        *AnsiTransactionManager::transaction_manager_status_mut(connection) =
            TransactionManagerStatus::InError;
    }
}

/// The server's or the socket's own words; the driver's message alone says only "db error".
fn reason(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    match error.as_db_error() {
        Some(server) => server.message().to_owned(),
        None => error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
    }
}

/// What the URL does not say: no silence of the network or of a lost client goes unnoticed for long.
fn set_defaults(config: &mut Config, options: &PostgresOptions) {
    if config.get_application_name().is_none() {
        config.application_name("mailqueue");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    config.keepalives_idle(Duration::from_secs(15));
    config.keepalives_interval(Duration::from_secs(5));
    config.keepalives_retries(3);
    config.tcp_user_timeout(options.statement);
    if config.get_options().is_none() {
        let milliseconds = options.statement.as_millis();
        config.options(format!(
            "-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
        ));
    }
}

fn tls_connector(authority: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let config = crate::tls::client_config(authority.map(std::path::Path::new))
        .map_err(|error| StoreError::Refused(format!("the database URL asks for TLS, but {error}")))?;
    Ok(MakeRustlsConnect::new(config))
}

/// Logs why connections fail, at most once a second however many callers wait.
#[derive(Debug, Default)]
struct LogSometimes(Arc<Mutex<Option<Instant>>>);

impl bb8::ErrorSink<PoolError> for LogSometimes {
    fn sink(&self, error: PoolError) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1)) {
            *last = Some(Instant::now());
            tracing::warn!(%error, "cannot connect to Postgres");
        }
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<PoolError>> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}
