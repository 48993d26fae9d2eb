//! Connections to Postgres, without libpq.

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{self, DriverError};
use super::session::{Generation, Mode, Session};
use crate::contracts::store::StoreError;
use crate::uri::Uri;

/// How a database is spoken to.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// How many connections are kept at most. Default 8: statements carry batches.
    pub connections: u32,
    /// How long to wait for a connection. Default 1 s.
    pub connection_timeout: Duration,
    /// How long a statement may take. Default 15 s.
    pub statement_timeout: Duration,
    /// Brings the tables up to date when opening. Default true.
    pub migrate: bool,
    /// Accepts a server that has `fsync`, `full_page_writes` or `synchronous_commit` off, and may lose accepted mail
    /// in a crash. Default false.
    pub allow_unsafe: bool,
    /// How much space is kept so that results can be written when the disk is full, in octets. Default 8 MiB.
    pub reserve: u64,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        let (connection_timeout, statement_timeout) = (Duration::from_secs(1), Duration::from_secs(15));
        Self {
            connections: 8,
            connection_timeout,
            statement_timeout,
            migrate: true,
            allow_unsafe: false,
            reserve: 8 << 20,
        }
    }
}

/// How long connecting may take, login included.
// Twice the default for TCP alone.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The database to connect to, from the URL and the options.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    /// For poolers, which know none.
    without_options: Config,
    tls: Option<MakeRustlsConnect>,
    mode: Mode,
    limit: Duration,
    newest: Generation,
}

impl Target {
    /// Reads a `postgres://` URL. `sslmode=require` and above mean TLS with the certificate checked; `sslrootcert`
    /// names a further authority. `prepare=false` is for a pooler that is not recognised as one.
    pub(super) fn parse(url: &SecretString, options: &PostgresOptions) -> Result<Self, StoreError> {
        let faulty = |what: &str| StoreError::Refused(format!("the database URL {what}").into());
        let mut url = Uri::parse(url.expose_secret()).map_err(|error| faulty(&error.to_string()))?;
        let (tls_mode, authority) = (url.take("sslmode"), url.take("sslrootcert"));
        let prepare = url.take("prepare");
        // The reason names the parameter, and a parameter can be a password.
        let mut config =
            Config::from_str(&url.to_string()).map_err(|_| faulty("has a part Postgres does not know"))?;
        let tls = match tls_mode.as_deref() {
            // Neither `allow` nor `prefer` demands TLS, so both mean plain text.
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
        let without_options = config.clone();
        ask_for_settings(&mut config, options);
        let (limit, newest) = (options.statement_timeout, Generation::default());
        let mut target = Self { config, without_options, tls, mode: Mode::Direct, limit, newest };
        match prepare.as_deref() {
            None | Some("true") => {}
            Some("false") => target.pool_transactions(),
            Some(_) => return Err(faulty("has a prepare that is neither true nor false")),
        }
        Ok(target)
    }

    /// The servers and the database, as logs may show them.
    pub(super) fn name(&self) -> String {
        let host = |host: &Host| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        let ports = self.config.get_ports();
        let servers = self.config.get_hosts().iter().enumerate().map(|(n, server)| {
            // One port stands for all servers.
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            format!("{}:{port}", host(server))
        });
        let servers: Vec<String> = servers.collect();
        format!("postgres://{}/{}", servers.join(","), self.config.get_dbname().unwrap_or_default())
    }

    /// Opens a connection and finds out whether it leads to a server or to a pooler; further ones are opened likewise.
    pub(super) async fn connect_first(&mut self) -> Result<Session, StoreError> {
        let session = match self.try_connect().await {
            Err(Some(error)) if error.is_of_start() && self.mode.is_direct() => {
                self.pool_transactions();
                self.try_connect().await
            }
            result => result,
        };
        let mut session = session.map_err(|error| outcome(error, DriverError::outcome_of_first_login))?;
        if self.mode.is_direct() && !is_direct(&mut session).await? {
            self.pool_transactions();
            session.set_mode(self.mode.clone());
        }
        Ok(session)
    }

    /// Opens one connection.
    pub(super) async fn connect(&self) -> Result<Session, StoreError> {
        self.try_connect().await.map_err(|error| outcome(error, DriverError::outcome_of_login))
    }

    /// `None` is for no answer in time.
    async fn try_connect(&self) -> Result<Session, Option<DriverError>> {
        // The driver's own limit ends with the TCP handshake, and a server that is frozen still makes that.
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, self.handshake()).await {
            Ok(opened) => opened.map_err(|error| Some(error.into())),
            Err(_) => Err(None),
        }
    }

    async fn handshake(&self) -> Result<Session, tokio_postgres::Error> {
        let mode = self.mode.clone();
        // Two arms, as the stream's type differs with TLS.
        Ok(match &self.tls {
            None => {
                let (client, connection) = self.config.connect(tokio_postgres::NoTls).await?;
                Session::new(client, connection, mode, &self.newest)
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Session::new(client, connection, mode, &self.newest)
            }
        })
    }

    /// From now on settings are asked for in each transaction.
    fn pool_transactions(&mut self) {
        // A pooler refuses a start with `options`, or drops them.
        self.config.clone_from(&self.without_options);
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned();
        let opening = settings(self.limit)
            .into_iter()
            .fold(begin, |sql, (name, value)| sql + &format!("; SET LOCAL {name} = '{value}'"));
        self.mode = Mode::Pooled(opening.into());
    }
}

fn outcome(error: Option<DriverError>, of_login: fn(DriverError) -> StoreError) -> StoreError {
    error.map_or_else(|| StoreError::Unavailable("it did not answer in time".into()), of_login)
}

/// Tells whether the settings of the start have reached the server: a pooler may drop them in silence.
async fn is_direct(session: &mut Session) -> Result<bool, StoreError> {
    // With `true` a setting that is missing reads as NULL instead of failing.
    let answer = session.simple_query("SELECT current_setting('mailqueue.direct', true)").await;
    let answer = answer.map_err(error::outcome)?;
    Ok(answer.first().and_then(|row| row.first()).is_some_and(|value| value.as_deref() == Some("on")))
}

/// Sets what the URL leaves open: no silence of the network or of a lost client goes unnoticed for long.
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
    config.tcp_user_timeout(options.statement_timeout);
}

/// The settings that we depend on, against the defaults of the database and the role. None of our statements is long
/// enough for a compiler or for further processes to pay.
fn settings(limit: Duration) -> [(&'static str, String); 6] {
    let limit = limit.as_millis().to_string();
    [
        ("TimeZone", "UTC".to_owned()),
        ("jit", "off".to_owned()),
        ("max_parallel_workers_per_gather", "0".to_owned()),
        ("lock_timeout", "0".to_owned()),
        ("statement_timeout", limit.clone()),
        ("idle_in_transaction_session_timeout", limit),
    ]
}

/// Asks for the settings at the start of a session. The URL's options come last and win.
fn ask_for_settings(config: &mut Config, options: &PostgresOptions) {
    // The isolation is for the session alone: a pooled transaction begins with it.
    let first = "-c mailqueue.direct=on -c default_transaction_isolation=read\\ committed".to_owned();
    let ours = settings(options.statement_timeout)
        .into_iter()
        .fold(first, |options, (name, value)| options + &format!(" -c {name}={value}"));
    let theirs = config.get_options().unwrap_or_default();
    config.options(format!("{ours} {theirs}"));
}

fn tls_connector(authority: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let config = crate::tls::client_config(authority.map(std::path::Path::new))
        .map_err(|error| StoreError::Refused(format!("the database URL asks for TLS, but {error}").into()))?;
    Ok(MakeRustlsConnect::new(config))
}
