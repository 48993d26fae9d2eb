//! Postfix's `smtp-sink`, for benches.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::directory::Directory;
use crate::port::Port;
use crate::process::ServerProcess;
use crate::tool;

/// A running `smtp-sink`: accepts everything, keeps nothing, and is faster than what is measured against
/// it.
///
/// It ends on drop, and with the test process however that ends.
#[derive(Debug)]
pub struct PostfixSink {
    // Before `port`: fields drop in order, and the server must end while its port is reserved.
    _process: ServerProcess,
    port: Port,
    log: PathBuf,
}

impl PostfixSink {
    /// Starts `smtp-sink` on a free port with a backlog of 1024.
    ///
    /// # Panics
    ///
    /// Naming the package, when Postfix is not installed.
    pub fn start() -> Self {
        Self::with_options(&[])
    }

    /// Like [`PostfixSink::start`], for [`PostfixSink::received`].
    pub fn counting() -> Self {
        Self::with_options(&["-c"])
    }

    /// Like [`PostfixSink::start`], with further options such as `["-w", "1"]`.
    pub fn with_options(options: &[&str]) -> Self {
        let program = tool("smtp-sink");
        for _ in 0..5 {
            let (port, mut directory) = (Port::reserve(), Directory::create("smtp-sink"));
            let listen = port.address().to_string();
            let arguments = options.iter().copied().chain([listen.as_str(), "1024"]);
            let mut process = ServerProcess::spawn(&mut directory, "KILL", &program, arguments);
            if process.ready(|| greets(port.address())) {
                return Self { _process: process, port, log: directory.path().join("log") };
            }
            let log = directory.log();
            // Only a taken port is worth another try.
            assert!(log.contains("in use"), "smtp-sink does not start: {log}");
        }
        panic!("smtp-sink found its port taken five times");
    }

    /// How many messages it has taken; 0 if it was not told to [count](PostfixSink::counting).
    pub fn received(&self) -> usize {
        let mut end = String::new();
        let mut log = File::open(&self.log).expect("the log of smtp-sink can be opened");
        // It writes a line of some 40 octets after every message.
        if log.seek(SeekFrom::End(-200)).is_err() {
            log.rewind().expect("a file can be read from its beginning");
        }
        log.read_to_string(&mut end).expect("the log of smtp-sink can be read");
        let count = |line: &str| line.trim_end().rsplit_once("mesg=")?.1.parse().ok();
        // What is being written ends with no CR yet.
        let whole = end.rsplit_once('\r').map_or("", |(whole, _)| whole);
        whole.rsplit('\r').find_map(count).unwrap_or(0)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `smtp://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address())
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut code = [0; 3];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut code).is_ok()
        && &code == b"220"
}
