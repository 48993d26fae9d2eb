//! Mail that stays in the process, for tests.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::watch;

use super::for_all;
use crate::contracts::transport::{Gate, Outgoing, Transport};
use crate::domain::address::Address;
use crate::domain::report::{Outcome, Reply, Report, Verdict};

/// The answers of the relay that a [`MemoryTransport`] stands for.
type Script = Arc<dyn Fn(&Outgoing) -> Verdict + Send + Sync>;

/// Keeps what was sent and answers as a script says; for the tests of a program that embeds mailqueue.
///
/// Clones share what was sent and the script.
///
/// ```
/// use mailqueue_core::transport::memory::MemoryTransport;
///
/// # async fn example() {
/// let transport = MemoryTransport::new();
/// // … hand a clone to a worker, submit a message, then:
/// let sent = transport.wait_for(1).await;
/// assert_eq!(sent[0].recipients[0].as_str(), "ana@example.com");
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryTransport {
    shared: Arc<Shared>,
}

struct Shared {
    sent: watch::Sender<Vec<Outgoing>>,
    script: RwLock<Script>,
}

impl MemoryTransport {
    /// Takes every message.
    #[must_use]
    pub fn new() -> Self {
        Self::scripted(Self::accept)
    }

    /// Answers with what `script` returns; see [`MemoryTransport::set_script`].
    #[must_use]
    pub fn scripted(script: impl Fn(&Outgoing) -> Verdict + Send + Sync + 'static) -> Self {
        let shared = Shared { sent: watch::Sender::new(Vec::new()), script: RwLock::new(Arc::new(script)) };
        Self { shared: Arc::new(shared) }
    }

    /// Answers with what `script` returns, from the next message on.
    ///
    /// If any recipient is [`Accepted`](Outcome::Accepted) or [`Ambiguous`](Outcome::Ambiguous), the gate is asked, and
    /// when it allows it the message is kept for those recipients: a lost answer counts as if the server had
    /// taken the message. Otherwise nothing is kept, and the gate is not asked.
    pub fn set_script(&self, script: impl Fn(&Outgoing) -> Verdict + Send + Sync + 'static) {
        *self.shared.script.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// The verdict of a relay that takes the message for every recipient.
    #[must_use]
    pub fn accept(message: &Outgoing) -> Verdict {
        Verdict::Answered(for_all(message, &Outcome::Accepted(Reply::new(Some(250), "2.0.0 kept in memory"))))
    }

    /// The messages sent so far, in order, each with the recipients it was sent to.
    #[must_use]
    pub fn sent(&self) -> Vec<Outgoing> {
        self.shared.sent.borrow().clone()
    }

    /// Returns what was sent as soon as it is `count` messages or more. Waits for ever if they do not come.
    pub async fn wait_for(&self, count: usize) -> Vec<Outgoing> {
        let mut sent = self.shared.sent.subscribe();
        match sent.wait_for(|sent| sent.len() >= count).await {
            Ok(sent) => sent.clone(),
            // The sender lives in `self`, so this does not happen.
            Err(_) => self.sent(),
        }
    }

    fn keep(&self, message: &Outgoing, outcomes: &[(Address, Outcome)]) {
        let reached = outcomes.iter().filter(|(_, outcome)| may_arrive(outcome));
        let recipients = reached.map(|(recipient, _)| recipient.clone()).collect();
        // `send_modify`, because `send` keeps nothing while nobody has subscribed.
        self.shared.sent.send_modify(|sent| sent.push(Outgoing { recipients, ..message.clone() }));
    }
}

fn may_arrive(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted(_) | Outcome::Ambiguous(_))
}

impl Default for MemoryTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport")
            .field("sent", &self.shared.sent.borrow().len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        // Cloned out of the lock, so that the script itself may set another one.
        let script = Arc::clone(&self.shared.script.read().unwrap_or_else(PoisonError::into_inner));
        let report = |dot_sent, verdict| Report { relay: Some("memory://".to_owned()), dot_sent, verdict };
        match script(message) {
            Verdict::Answered(outcomes) if outcomes.iter().any(|(_, outcome)| may_arrive(outcome)) => {
                if !gate.may_send_dot().await {
                    return report(false, Verdict::Withheld);
                }
                self.keep(message, &outcomes);
                report(true, Verdict::Answered(outcomes))
            }
            other => report(false, other),
        }
    }

    async fn ready(&self) -> usize {
        usize::MAX
    }
}
