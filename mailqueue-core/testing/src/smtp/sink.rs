//! The sink itself: listening, stopping, waiting.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::script::{Rule, Script};
use super::session::Session;
use super::shared::Shared;
use super::{Action, Event, Received, Record, Tls};
use crate::port::Port;
use crate::{Certificate, runtime};

/// The default offer of a sink.
const CAPABILITIES: [&str; 5] =
    ["PIPELINING", "8BITMIME", "SIZE 10485760", "SMTPUTF8", "ENHANCEDSTATUSCODES"];

/// What a [`SmtpSink`] will offer and do; from [`SmtpSink::builder`].
pub struct SmtpSinkBuilder {
    capabilities: Vec<String>,
    rules: Vec<Rule>,
    tls: Option<(Tls, Arc<rustls::ServerConfig>)>,
    patience: Duration,
}

impl fmt::Debug for SmtpSinkBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SmtpSinkBuilder")
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

impl SmtpSinkBuilder {
    /// Offers these lines in answer to EHLO, in place of the usual ones; STARTTLS comes by itself.
    #[must_use]
    pub fn ehlo<S: Into<String>>(mut self, capabilities: impl IntoIterator<Item = S>) -> Self {
        self.capabilities = capabilities.into_iter().map(Into::into).collect();
        self
    }

    /// Offers one line more, for instance `AUTH PLAIN LOGIN`.
    #[must_use]
    pub fn offer(mut self, capability: impl Into<String>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// Adds a rule. Of several, the first counts that does not say [`Action::Default`].
    #[must_use]
    pub fn rule(mut self, rule: impl Fn(&Event) -> Action + Send + Sync + 'static) -> Self {
        self.rules.push(Arc::new(rule));
        self
    }

    /// Speaks TLS with this certificate.
    #[must_use]
    pub fn tls(mut self, certificate: &Certificate, kind: Tls) -> Self {
        self.tls = Some((kind, certificate.server_config()));
        self
    }

    /// Lets waits panic after `limit` instead of 60 seconds.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// The sink, listening.
    pub async fn start(self) -> SmtpSink {
        let shared = Shared {
            script: Script::new(self.capabilities, self.tls, self.rules),
            record: watch::Sender::new(Record::default()),
            releases: watch::Sender::new(0),
        };
        let sink = SmtpSink {
            port: Port::reserve(),
            shared: Arc::new(shared),
            running: Mutex::new(None),
            patience: self.patience,
        };
        sink.start_again().await;
        sink
    }
}

/// An SMTP server on a port of its own that does what its rules say and remembers what it saw.
///
/// A message is on record before the reply that takes it is sent. The sink runs apart from the test's
/// runtime and ends, its connections with it, when it is dropped.
pub struct SmtpSink {
    port: Port,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    patience: Duration,
}

struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for SmtpSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SmtpSink({}: {})", self.address(), self.shared.record.borrow().summary())
    }
}

impl SmtpSink {
    /// A sink to be described first.
    pub fn builder() -> SmtpSinkBuilder {
        SmtpSinkBuilder {
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            rules: Vec::new(),
            tls: None,
            patience: Duration::from_secs(60),
        }
    }

    /// A sink that takes everything, without TLS.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The address on which it listens, stopped or not.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `smtp://127.0.0.1:PORT`, or `smtps://…` if TLS is implicit.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address())
    }

    /// The URL with credentials, which must not need escaping.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("{}://{user}:{password}@{}", self.scheme(), self.address())
    }

    /// Replaces all rules, from the next event on.
    pub fn set_rule(&self, rule: impl Fn(&Event) -> Action + Send + Sync + 'static) {
        self.shared.script.replace_rules(vec![Arc::new(rule)]);
    }

    /// Removes all rules, from the next event on.
    pub fn clear_rules(&self) {
        self.shared.script.replace_rules(Vec::new());
    }

    /// Lets every client that is held now have its answer.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// Ends all connections and returns when the port refuses new ones. The record stays.
    pub async fn stop(&self) {
        // A statement of its own: the guard must not live across the await.
        let running = self.running().take();
        if let Some(running) = running {
            running.stop.cancel();
            running.tasks.wait().await;
        }
    }

    /// Listens again, on the same port and with the same record. Without effect while it listens.
    pub async fn start_again(&self) {
        if self.running().is_some() {
            return;
        }
        let address = self.address();
        let listener = runtime::handle().spawn(TcpListener::bind(address)).await.map(|bound| {
            bound.unwrap_or_else(|fault| panic!("the sink cannot listen on {address}: {fault}"))
        });
        let listener = listener.expect("binding a port does not panic");
        let running = Running { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let accepting =
            accept(listener, Arc::clone(&self.shared), running.stop.clone(), running.tasks.clone());
        running.tasks.spawn_on(accepting, runtime::handle());
        running.tasks.close();
        *self.running() = Some(running);
    }

    /// Looks at the record, which stands still meanwhile.
    pub fn record<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.shared.record.borrow())
    }

    /// The messages taken so far, in order.
    pub fn messages(&self) -> Vec<Received> {
        self.record(|record| record.messages.clone())
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.record(|record| record.conversations.len())
    }

    /// The most connections that were ever open at once.
    pub fn concurrent_peak(&self) -> usize {
        self.record(|record| record.concurrent_peak)
    }

    /// What was said on connection `number` (from 1), as `C: …`, `S: …` and notes in parentheses.
    pub fn transcript(&self, number: usize) -> Vec<String> {
        self.record(|record| record.conversations[number - 1].lines.iter().map(ToString::to_string).collect())
    }

    /// The lines of the client on connection `number` (from 1).
    pub fn commands(&self, number: usize) -> Vec<String> {
        self.record(|record| record.conversations[number - 1].commands())
    }

    /// Returns all messages as soon as there are `count` of them or more.
    ///
    /// # Panics
    ///
    /// After 60 seconds, saying what was seen instead.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait(&format!("{count} messages"), |record| record.messages.len() >= count).await;
        self.messages()
    }

    /// Returns as soon as the record satisfies `condition`.
    ///
    /// # Panics
    ///
    /// After 60 seconds, saying what was seen instead, and at once when a rule panicked.
    pub async fn wait_until(&self, condition: impl FnMut(&Record) -> bool) {
        self.wait("what the test waits for", condition).await;
    }

    async fn wait(&self, what: &str, mut condition: impl FnMut(&Record) -> bool) {
        let mut record = self.shared.record.subscribe();
        // On the peers' runtime: the test may have paused its own clock.
        let mut limit = runtime::handle().spawn(sleep(self.patience));
        let condition = |record: &Record| record.fault.is_some() || condition(record);
        let seen = tokio::select! {
            seen = async { record.wait_for(condition).await.map(|record| record.fault.clone()) } => seen.ok(),
            _ = &mut limit => None,
        };
        limit.abort();
        match seen {
            Some(None) => {}
            Some(Some(fault)) => panic!("{fault}"),
            None => panic!("{what} did not come within {:?}; seen: {self:?}", self.patience),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.shared.script.implicit_tls().is_some() { "smtps" } else { "smtp" }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let running = self.running().take();
        if let Some(running) = running {
            running.stop.cancel();
            runtime::finish(running.tasks);
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let session = serve(stream, Arc::clone(&shared), stop.clone());
                tasks.spawn(session);
            }
            // Out of file descriptors, most likely: they come back as connections end.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    // Replies are small and waited for.
    let _ = stream.set_nodelay(true);
    let session = Session::new(shared, stream);
    stop.run_until_cancelled(session.run()).await;
}
