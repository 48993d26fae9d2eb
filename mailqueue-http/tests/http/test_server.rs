//! A server of its own for a test, and a client that hides nothing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{
    Capacity, Entry, Filter, Lane, MessageStore, Outbox, Pulled, Queue, QueueError, Record,
};
use mailqueue_http::{App, Options, Server};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A queue that nobody listens to: what is accepted stays queued.
struct IdleQueue;

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Queue for IdleQueue {
    async fn push(&self, entries: &[Entry]) -> Result<u64, QueueError> {
        Ok(entries.len() as u64)
    }
    async fn pull(&self, _: &[Lane], _: usize, wait: Duration) -> Result<Pulled, QueueError> {
        tokio::time::sleep(wait).await;
        Ok(Pulled::default())
    }
    async fn head(&self, _: Lane) -> Result<Option<OffsetDateTime>, QueueError> {
        Ok(None)
    }
    async fn depth(&self, _: Lane) -> Result<u64, QueueError> {
        Ok(0)
    }
}

/// A running server on an empty store.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) outbox: Outbox,
    /// The store behind it, past the outbox.
    pub(crate) store: Arc<dyn MessageStore>,
    pub(crate) running: JoinHandle<()>,
    pub(crate) end: CancellationToken,
    _end: DropGuard,
    directory: Option<TempDir>,
}

/// Sender and recipient of the form as they are on a machine without settings, and the form as often as tests like.
pub(crate) fn plain() -> Options {
    Options {
        from: Some("mailqueue@example.com".parse().unwrap()),
        form_to: Some("team@example.com".parse().unwrap()),
        form_rate: None,
        ..Options::default()
    }
}

impl TestServer {
    /// A server that listens on a loopback address, without settings.
    pub(crate) async fn open() -> Self {
        Self::with("127.0.0.1:0", plain()).await
    }

    /// A server that the world could reach.
    pub(crate) async fn public(options: Options) -> Self {
        Self::with("0.0.0.0:0", options).await
    }

    pub(crate) async fn with(listen: &str, options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mail.db");
        let store = Arc::new(SqliteStore::open(file, &SqliteOptions::default()).await.unwrap());
        Self { directory: Some(directory), ..Self::on(store, listen, options).await }
    }

    pub(crate) async fn on(store: Arc<dyn MessageStore>, listen: &str, options: Options) -> Self {
        Self::within(Capacity::default(), store, listen, options).await
    }

    /// A server in which only so much may wait.
    pub(crate) async fn within(
        capacity: Capacity,
        store: Arc<dyn MessageStore>,
        listen: &str,
        options: Options,
    ) -> Self {
        let outbox = Outbox::start_within(capacity, Arc::clone(&store), Arc::new(IdleQueue)).await;
        let app = App::new(outbox.clone(), options);
        let server = Server::bind(listen.parse().unwrap(), app).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], server.local_addr().unwrap().port()));
        let end = CancellationToken::new();
        let running = tokio::spawn(server.run(end.clone().cancelled_owned()));
        Self { address, outbox, store, running, end: end.clone(), _end: end.drop_guard(), directory: None }
    }

    /// The database file of a server with a store of its own.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.as_ref().unwrap().path().join("mail.db")
    }

    /// The same server, but talking to another server.
    pub(crate) fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// All that is stored.
    pub(crate) async fn stored(&self) -> Vec<Record> {
        self.outbox
            .list(Filter { limit: 100, ..Filter::default() })
            .await
            .unwrap()
            .readable()
            .cloned()
            .collect()
    }

    /// Sends bytes as they are and reads until the server closes; `None` when it closes without an answer.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Option<Reply> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let reading = async {
            match read.read_to_end(&mut answer).await {
                Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
                _ => {}
            }
        };
        let writing = async {
            // The server may have had enough before all is sent.
            let _ = write.write_all(bytes).await;
        };
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(reading, writing) })
            .await
            .expect("the server neither answers nor closes");
        (!answer.is_empty()).then(|| Reply::parse(&answer))
    }

    /// Sends a request with these header lines.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        if !body.is_empty() || method == "POST" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        self.raw(&[request.as_bytes(), body].concat()).await.expect("no answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"").await
    }

    /// `POST /emails`
    pub(crate) async fn submit(&self, json: &str) -> Reply {
        self.send("POST", "/emails", &[("Content-Type", "application/json")], json.as_bytes()).await
    }

    /// `POST /` as a program sends it.
    pub(crate) async fn fill_in(&self, fields: &str, headers: &[(&str, &str)]) -> Reply {
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        self.send("POST", "/", &[&form, headers].concat(), fields.as_bytes()).await
    }
}

/// What a browser says it reads.
pub(crate) const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("no end of the head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("no status");
        if status == 100 {
            return Self::parse(&bytes[end + 4..]);
        }
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The id in an answer to a submission.
    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// Checks that it is a problem of this status and name, with all that a problem has to have.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, String::from_utf8_lossy(&self.body));
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["statusCode"], status);
        assert_eq!(problem["name"], name);
        for member in ["type", "title", "detail", "message"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}");
        }
        assert_eq!(problem["detail"], problem["message"]);
        problem
    }

    /// Checks that it is a 422 that points to these fields and no others.
    #[track_caller]
    pub(crate) fn assert_invalid(&self, pointers: &[&str]) {
        let problem = self.assert_problem(422, "validation_error");
        let faults = problem["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = faults.iter().filter_map(|fault| fault["pointer"].as_str()).collect();
        assert_eq!(found, pointers, "{problem}");
    }
}
