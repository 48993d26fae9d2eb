//! The whole on real parts: Postgres, Redis, an SMTP peer and worker processes.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of it")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailqueue_core::connect::{self, StoreOptions};
use mailqueue_core::{MessageId, MessageStore, Outbox, Record};
use mailqueue_testing::{Postgres, Received, Redis, SmtpSink};
use secrecy::SecretString;

/// The time in which a condition becomes true on a machine that does other things too.
pub const CONDITION_TIMEOUT: Duration = Duration::from_secs(90);

/// A database, a Redis, an SMTP peer, and an outbox on them.
pub struct System {
    pub database: String,
    pub redis: Redis,
    pub sink: SmtpSink,
    pub store: Arc<dyn MessageStore>,
    pub outbox: Outbox,
    logs: tempfile::TempDir,
}

impl System {
    pub async fn start() -> Self {
        Self::with_sink(SmtpSink::start().await).await
    }

    pub async fn with_sink(sink: SmtpSink) -> Self {
        Self::on(Postgres::shared().database(), sink).await
    }

    /// On a database of the test's own.
    pub async fn on(database: String, sink: SmtpSink) -> Self {
        let redis = Redis::start();
        let url = SecretString::from(database.as_str());
        let options = StoreOptions { allow_unsafe: true, ..StoreOptions::default() };
        let store = connect::store_with(&url, options).await.expect("the database opens");
        let queue = connect::queue(Some(&redis.url().into())).expect("the URL is right");
        let outbox = Outbox::start(Arc::clone(&store), queue).await;
        let logs = tempfile::tempdir().expect("a temporary directory");
        Self { database, redis, sink, store, outbox, logs }
    }

    /// A worker process on this system, with quick times. `settings` overrules them.
    pub fn worker(&self, settings: &[(&str, &str)]) -> WorkerProcess {
        let mut defaults = HashMap::from([
            ("DATABASE_URL", self.database.clone()),
            ("REDIS_URL", self.redis.url()),
            ("SMTP_URL", self.sink.url()),
            // The tests' servers do not wait for the disk.
            ("MAILQUEUE_ALLOW_UNSAFE_DATABASE", "true".to_owned()),
            ("MAILQUEUE_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("MAILQUEUE_LEASE", "3s".to_owned()),
            ("MAILQUEUE_GRACE", "1s".to_owned()),
            ("MAILQUEUE_SWEEP_INTERVAL", "200ms".to_owned()),
            ("MAILQUEUE_RETRY_FIRST", "200ms".to_owned()),
            ("MAILQUEUE_RETRY_CAP", "1s".to_owned()),
        ]);
        defaults.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        WorkerProcess::start(&defaults, self.logs.path().join(format!("{}.log", fastrand::u32(..))))
    }

    pub async fn record(&self, id: MessageId) -> Record {
        self.outbox.get(id).await.expect("the store answers").expect("the message is there")
    }

    /// Waits until every one of these messages has come to its end.
    pub async fn finished(&self, ids: &[MessageId]) -> Vec<Record> {
        let until = Instant::now() + CONDITION_TIMEOUT;
        loop {
            let mut records = Vec::with_capacity(ids.len());
            for id in ids {
                let record = self.record(*id).await;
                if !record.delivery.status.is_final() {
                    break;
                }
                records.push(record);
            }
            if records.len() == ids.len() {
                return records;
            }
            assert!(Instant::now() < until, "{} of {} messages came to their end", records.len(), ids.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The copies at the peer, by message.
    pub fn copies(&self) -> HashMap<String, Vec<Received>> {
        let mut copies: HashMap<String, Vec<Received>> = HashMap::new();
        for received in self.sink.messages() {
            copies.entry(message_id(&received.text())).or_default().push(received);
        }
        copies
    }
}

/// The part of the Message-ID that is the message's own id.
pub fn message_id(text: &str) -> String {
    let header =
        text.lines().find_map(|line| line.strip_prefix("Message-ID: <")).expect("every message has one");
    header.split('@').next().unwrap_or_default().to_owned()
}

/// A worker process; killed when it is dropped.
pub struct WorkerProcess {
    child: Child,
    log: PathBuf,
}

impl WorkerProcess {
    fn start(settings: &HashMap<&str, String>, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_mailqueue-worker"))
            .envs(settings)
            .stdin(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the worker starts");
        Self { child, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log can be read")
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the worker was not running any more:\n{}", self.log());
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + CONDITION_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return (status, self.log());
            }
            assert!(Instant::now() < until, "the worker did not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until its log holds a text.
    pub async fn says(&self, text: &str) {
        let until = Instant::now() + CONDITION_TIMEOUT;
        while !self.log().contains(text) {
            assert!(Instant::now() < until, "the worker never said {text:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
