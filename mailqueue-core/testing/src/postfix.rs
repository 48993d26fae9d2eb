//! Postfix's `smtp-sink`, for benches.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
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

    /// Like [`PostfixSink::start`], with further options such as `["-w", "1"]`.
    pub fn with_options(options: &[&str]) -> Self {
        let program = tool("smtp-sink");
        for _ in 0..5 {
            let (port, mut directory) = (Port::reserve(), Directory::create("smtp-sink"));
            let listen = port.address().to_string();
            let arguments = options.iter().copied().chain([listen.as_str(), "1024"]);
            let mut process = ServerProcess::spawn(&mut directory, "KILL", &program, arguments);
            if process.ready(|| greets(port.address())) {
                return Self { _process: process, port };
            }
            let log = directory.log();
            // Only a taken port is worth another try.
            assert!(log.contains("in use"), "smtp-sink does not start: {log}");
        }
        panic!("smtp-sink found its port taken five times");
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
