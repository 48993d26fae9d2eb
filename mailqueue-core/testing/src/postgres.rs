//! A throw-away Postgres cluster.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::directory::Directory;
use crate::port::Port;
use crate::process::ServerProcess;
use crate::{runtime, tool};

/// Without fsync a commit survives the server's death, in whatever way, as the operating system lives on.
const FAST: [(&str, &str); 2] = [("fsync", "off"), ("full_page_writes", "off")];

/// A Postgres server of this process's own, which ends with it and leaves nothing behind.
///
/// It listens on 127.0.0.1 only, trusts everybody, has one superuser `postgres` and room for 200
/// connections. A test that stops or freezes a server needs one of its own from [`Postgres::start`]: those
/// methods take `&mut self`, so the [shared](Postgres::shared) one cannot be taken from other tests.
///
/// All methods block; none needs a runtime and all work inside any.
#[derive(Debug)]
pub struct Postgres {
    // Before `port` and `directory`: fields drop in order, and the server must end while its port is
    // reserved.
    process: Option<ServerProcess>,
    port: Port,
    directory: Directory,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    databases: AtomicUsize,
}

impl Postgres {
    /// The server that all tests of this process share, started at the first call.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of the caller's own, with fsync off: quick, and safe against anything but a power cut.
    pub fn start() -> Self {
        Self::with_settings(&[])
    }

    /// A server of the caller's own, with fsync on as in production: for measurements and for faults of
    /// the disk.
    pub fn durable() -> Self {
        Self::with_settings(&FAST.map(|(name, _)| (name, "on")))
    }

    /// Like [`Postgres::start`], with further settings such as `("max_connections", "5")`.
    pub fn with_settings(settings: &[(&str, &str)]) -> Self {
        Self::with(settings, &[])
    }

    /// Like [`Postgres::durable`], with further environment variables for every process of the server.
    pub fn durable_with_environment(environment: &[(&str, &str)]) -> Self {
        Self::with(&FAST.map(|(name, _)| (name, "on")), environment)
    }

    fn with(settings: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let directory = Directory::create("postgres");
        initialise(&directory);
        let mut postgres = Self {
            process: None,
            port: Port::reserve(),
            directory,
            settings: all_settings(settings),
            environment: owned(environment),
            databases: AtomicUsize::new(0),
        };
        // A foreign process may take the port between the reservation and the server's bind.
        for _ in 0..5 {
            if postgres.launch() {
                return postgres;
            }
            if let Some(process) = postgres.process.take() {
                process.give_back(&mut postgres.directory);
            }
            postgres.port = Port::reserve();
        }
        panic!("Postgres does not start:\n{}", postgres.directory.log());
    }

    /// Creates an empty database and returns its URL.
    pub fn database(&self) -> String {
        self.database_from("template1")
    }

    /// Creates a copy of the database `template`, given by name or URL, and returns its URL. Nobody may
    /// be connected to the template; Postgres waits five seconds for the last one to leave.
    pub fn database_from(&self, template: &str) -> String {
        let template = template.rsplit('/').next().unwrap_or(template);
        // Relaxed, because the numbers only have to differ.
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed) + 1);
        self.query(&self.url_for("postgres"), &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""));
        self.url_for(&name)
    }

    /// The URL of the database `name`, whether it exists or not.
    pub fn url_for(&self, name: &str) -> String {
        format!("postgres://postgres@{}/{name}", self.address())
    }

    /// Runs SQL in the database at `url` and returns the rows of all its statements as text.
    ///
    /// # Panics
    ///
    /// With Postgres's own words, when a statement fails.
    pub fn query(&self, url: &str, sql: &str) -> Vec<Vec<Option<String>>> {
        run(url, sql).unwrap_or_else(|fault| match fault.as_db_error() {
            Some(error) => panic!("{sql}: {error}"),
            None => panic!("{sql}: {fault}"),
        })
    }

    /// Where the server listens, stopped or not.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The pid of the postmaster.
    ///
    /// # Panics
    ///
    /// When the server is stopped.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Stops the server as `pg_ctl stop -m fast` does: open transactions are rolled back, clients
    /// disconnected.
    pub fn stop_fast(&mut self) {
        self.stop("INT");
    }

    /// Stops the server as `pg_ctl stop -m immediate` does: no checkpoint, so the next start recovers
    /// from the log.
    pub fn stop_immediate(&mut self) {
        self.stop("QUIT");
    }

    /// Starts the stopped server with the same port and data and returns once it accepts connections.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "Postgres is running already");
        assert!(self.launch(), "Postgres does not start again:\n{}", self.directory.log());
    }

    /// Stops every process of the server in its tracks (SIGSTOP): connections stay open and nothing
    /// answers.
    pub fn freeze(&mut self) {
        self.running().signal_family("STOP");
    }

    /// Lets a frozen server go on (SIGCONT).
    pub fn thaw(&mut self) {
        self.running().signal_family("CONT");
    }

    fn running(&self) -> &ServerProcess {
        self.process.as_ref().expect("Postgres is stopped")
    }

    fn stop(&mut self, signal: &str) {
        let mut process = self.process.take().expect("Postgres is stopped already");
        // A frozen server acts on no other signal.
        process.signal_family("CONT");
        process.signal(signal);
        process.wait_for_exit();
        process.give_back(&mut self.directory);
    }

    /// True once the server accepts connections, false when it has exited instead.
    fn launch(&mut self) -> bool {
        let mut arguments =
            vec!["-D".to_owned(), "data".to_owned(), "-p".to_owned(), self.port.number().to_string()];
        for (name, value) in &self.settings {
            arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let program = tool("postgres");
        let arguments = arguments.iter().map(String::as_str);
        // QUIT is the immediate stop. Unlike KILL it takes the backends and the shared memory along.
        let process = ServerProcess::spawn_with_environment(
            &mut self.directory,
            "QUIT",
            &program,
            arguments,
            &self.environment,
        );
        let url = self.url_for("postgres");
        self.process.insert(process).ready(|| run(&url, "SELECT 1").is_ok())
    }
}

fn all_settings(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    let listen =
        [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", ""), ("max_connections", "200")];
    // The last of two settings of one name wins.
    owned(&[&listen[..], &FAST, wanted].concat())
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn initialise(directory: &Directory) {
    let done = directory
        .command(&tool("initdb"))
        .args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"])
        .stdin(Stdio::null())
        .output()
        .expect("initdb could not be started");
    assert!(done.status.success(), "initdb failed: {}", String::from_utf8_lossy(&done.stderr));
}

/// One connection, one round trip, on the peers' runtime.
pub(crate) fn run(url: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
    let mut config: tokio_postgres::Config = url.parse()?;
    config.connect_timeout(Duration::from_secs(5));
    let sql = sql.to_owned();
    runtime::block(async move {
        let (client, connection) = config.connect(NoTls).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(&sql).await;
        drop(client);
        // The backend has been told to go before this returns; a template must not have anyone connected.
        let _ = connection.await;
        Ok(answer?.iter().filter_map(row).collect())
    })
}

fn row(message: &SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
}
