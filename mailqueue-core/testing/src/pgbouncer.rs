//! A throw-away PgBouncer.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::directory::Directory;
use crate::port::Port;
use crate::postgres::{Postgres, run};
use crate::process::ServerProcess;
use crate::tool;

/// A PgBouncer of this process's own in front of a [`Postgres`], which gives each transaction whatever of its two
/// connections to a database is free.
///
/// It listens on 127.0.0.1 only, lets everybody in, and is to be dropped before the server behind it. All methods block.
#[derive(Debug)]
pub struct PgBouncer {
    // Before `port` and `directory`: fields drop in order, and it must end while its port is reserved.
    _process: ServerProcess,
    port: Port,
    target: SocketAddr,
    _directory: Directory,
}

impl PgBouncer {
    /// One with the settings of its package, but for the mode.
    pub fn start(postgres: &Postgres) -> Self {
        Self::with_settings(postgres, &[])
    }

    /// Like [`PgBouncer::start`], with further settings such as `("ignore_startup_parameters", "options")`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn with_settings(postgres: &Postgres, settings: &[(&str, &str)]) -> Self {
        for _ in 0..5 {
            if let Some(started) = Self::launch(postgres.address(), settings) {
                return started;
            }
        }
        panic!("PgBouncer does not start");
    }

    /// `url`, which leads to the server behind it, by way of it.
    ///
    /// # Panics
    ///
    /// When it does not lead there.
    pub fn url(&self, url: &str) -> String {
        let target = self.target.to_string();
        assert!(url.contains(&target), "{url} does not lead to {target}");
        url.replacen(&target, &self.port.address().to_string(), 1)
    }

    /// `None` when a foreign process took the port before it was bound.
    fn launch(target: SocketAddr, settings: &[(&str, &str)]) -> Option<Self> {
        let (mut directory, port) = (Directory::create("pgbouncer"), Port::reserve());
        let mut text = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 2\nmax_client_conn = 500\n",
            target.ip(),
            target.port(),
            port.number()
        );
        for (name, value) in settings {
            writeln!(text, "{name} = {value}").expect("a string takes everything");
        }
        let file = directory.path().join("pgbouncer.ini");
        std::fs::write(&file, text).expect("the directory is ours");
        let file = file.to_str().expect("the path is ASCII").to_owned();
        let mut process = ServerProcess::spawn(&mut directory, "INT", &tool("pgbouncer"), [file.as_str()]);
        let url = format!("postgres://postgres@{}/postgres", port.address());
        process.ready(|| run(&url, "SELECT 1").is_ok()).then_some(Self {
            _process: process,
            port,
            target,
            _directory: directory,
        })
    }
}
