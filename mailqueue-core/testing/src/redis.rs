//! A throw-away Redis.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use crate::directory::Directory;
use crate::port::Port;
use crate::process::ServerProcess;
use crate::tool;

/// A Redis server of this process's own, which ends with it and leaves nothing behind.
///
/// It listens on 127.0.0.1 only and writes nothing to disk. Tests on the [shared](Redis::shared) one keep
/// apart by a key prefix of their own or by [`Redis::url_db`]. All methods block; none needs a runtime
/// and all work inside any.
#[derive(Debug)]
pub struct Redis {
    // Before `port` and `directory`: fields drop in order, and the server must end while its port is
    // reserved.
    process: Option<ServerProcess>,
    port: Port,
    directory: Directory,
}

impl Redis {
    /// How many databases there are for [`Redis::url_db`].
    pub const DATABASES: usize = 256;

    /// The server that all tests of this process share, started at the first call.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of the caller's own, to be stopped, frozen and flushed.
    pub fn start() -> Self {
        let mut redis = Self { process: None, port: Port::reserve(), directory: Directory::create("redis") };
        // A foreign process may take the port between the reservation and the server's bind.
        for _ in 0..5 {
            if redis.launch() {
                return redis;
            }
            if let Some(process) = redis.process.take() {
                process.give_back(&mut redis.directory);
            }
            redis.port = Port::reserve();
        }
        panic!("Redis does not start:\n{}", redis.directory.log());
    }

    /// The URL of database 0.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The URL of database `number`, which must be below [`Redis::DATABASES`].
    pub fn url_db(&self, number: usize) -> String {
        assert!(number < Self::DATABASES, "Redis was started with {} databases", Self::DATABASES);
        format!("redis://{}/{number}", self.address())
    }

    /// Where the server listens, stopped or not.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The server's pid.
    ///
    /// # Panics
    ///
    /// When the server is stopped.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Empties all databases (FLUSHALL).
    pub fn flush(&self) {
        self.command(&["FLUSHALL"]);
    }

    /// Sends one command, for instance `["CONFIG", "SET", "maxmemory", "1mb"]`, and returns the answer as
    /// text: nothing as the empty string, an array as one line an element.
    ///
    /// # Panics
    ///
    /// With Redis's own words, when it answers with an error or not within five seconds.
    pub fn command(&self, words: &[&str]) -> String {
        let answer = ask(self.address(), words);
        let answer = answer.unwrap_or_else(|fault| panic!("Redis did not answer {words:?}: {fault}"));
        answer.unwrap_or_else(|error| panic!("Redis refused {words:?}: {error}"))
    }

    /// Kills the server (SIGKILL); what it held is gone.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("Redis is stopped already");
        process.signal("KILL");
        process.wait_for_exit();
        process.give_back(&mut self.directory);
    }

    /// Starts the stopped server on the same port, empty, and returns once it answers.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "Redis is running already");
        assert!(self.launch(), "Redis does not start again:\n{}", self.directory.log());
    }

    /// Stops the server in its tracks (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&mut self) {
        self.running().signal("STOP");
    }

    /// Lets a frozen server go on (SIGCONT).
    pub fn thaw(&mut self) {
        self.running().signal("CONT");
    }

    fn running(&self) -> &ServerProcess {
        self.process.as_ref().expect("Redis is stopped")
    }

    /// True once the server answers, false when it has exited instead.
    fn launch(&mut self) -> bool {
        let (port, databases) = (self.port.number().to_string(), Self::DATABASES.to_string());
        let arguments = ["--port", &port, "--bind", "127.0.0.1", "--databases", &databases];
        let in_memory = ["--save", "", "--appendonly", "no"];
        let (program, address) = (tool("redis-server"), self.address());
        let process = ServerProcess::spawn(
            &mut self.directory,
            "KILL",
            &program,
            arguments.into_iter().chain(in_memory),
        );
        let pong = Ok("PONG".to_owned());
        self.process.insert(process).ready(|| ask(address, &["PING"]).is_ok_and(|answer| answer == pong))
    }
}

/// One command on a connection of its own. The inner result is Redis's answer or its error.
fn ask(address: SocketAddr, words: &[&str]) -> io::Result<Result<String, String>> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes())?;
    reply(&mut BufReader::new(stream))
}

fn reply(input: &mut impl BufRead) -> io::Result<Result<String, String>> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((kind, rest)) = line.split_at_checked(1) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let length = || rest.parse::<usize>().unwrap_or(0);
    match kind {
        "+" | ":" => Ok(Ok(rest.to_owned())),
        "-" => Ok(Err(rest.to_owned())),
        "$" if rest == "-1" => Ok(Ok(String::new())),
        "$" => {
            // A line end follows the octets.
            let mut bulk = vec![0; length() + 2];
            input.read_exact(&mut bulk)?;
            bulk.truncate(length());
            Ok(Ok(String::from_utf8_lossy(&bulk).into_owned()))
        }
        "*" => {
            let elements: io::Result<Result<Vec<String>, String>> =
                (0..length()).map(|_| reply(input)).collect();
            Ok(elements?.map(|elements| elements.join("\n")))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("no RESP reply: {line}"))),
    }
}
