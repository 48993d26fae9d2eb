//! What a worker tells of itself, and what it is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mailqueue_core::contracts::controls::{Pauses, WorkerReport, WorkerState};
use mailqueue_core::controls::TrafficCounter;
use mailqueue_core::{Controls, MessageStore, StoreError, Transport};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::pausing::Pausing;

/// The time between two questions for what is paused. With the sweep's two statements a second, a report now and then and
/// the questions of an outbox in the same process it makes three a second; and a pause is known within
/// two seconds.
const PAUSE_INTERVAL: Duration = Duration::from_millis(1800);

/// The time between two questions for the same before the first answer.
const FIRST_PAUSE_INTERVAL: Duration = Duration::from_millis(500);

/// The age of a report at which the next one is due: with the interval above, one is made every ten seconds at least.
const REPORT_INTERVAL: Duration = Duration::from_secs(8);

/// The longest wait for the store at the beginning and at the end: nothing of this is worth more.
const EDGE_TIMEOUT: Duration = Duration::from_secs(3);

/// Reports a worker, adds its counts, and learns what is paused. A fault of any of it is no fault of the worker.
pub(crate) struct Presence {
    pub(crate) store: Arc<dyn MessageStore>,
    pub(crate) controls: Arc<dyn Controls>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) pausing: Pausing,
    pub(crate) traffic: Arc<TrafficCounter>,
    /// The messages in hand.
    pub(crate) tasks: TaskTracker,
    pub(crate) name: String,
    pub(crate) concurrency: usize,
    pub(crate) started: Instant,
}

/// A worker that reports itself.
pub(crate) struct Present {
    ended: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Present {
    /// Signs off.
    pub(crate) async fn leave(self) {
        self.ended.cancel();
        // A panic of it is already in the log, and a store that does not answer is not waited for.
        let _ = timeout(EDGE_TIMEOUT * 2, self.task).await;
    }
}

impl Presence {
    /// Learns what is paused, which has to be known before the first message is taken, and begins to report.
    pub(crate) async fn appear(self, drain: &CancellationToken) -> Present {
        let mut knows = true;
        tokio::select! {
            () = drain.cancelled() => {}
            () = self.learn_first(&mut knows) => {}
        }
        let ended = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(self.run(knows, drain.clone(), ended.clone())));
        Present { ended, task }
    }

    /// Reports and learns until `ended`, and then signs off.
    async fn run(self, mut knows: bool, drain: CancellationToken, ended: CancellationToken) {
        let mut last: Option<(Instant, WorkerState)> = None;
        let mut answers = true;
        loop {
            let state = self.state(&drain);
            let is_due = |(at, was): (Instant, WorkerState)| was != state || at.elapsed() >= REPORT_INTERVAL;
            if last.is_none_or(is_due) {
                note(&mut answers, self.report(state).await);
                last = Some((Instant::now(), state));
            }
            tokio::select! {
                () = ended.cancelled() => break,
                () = drain.cancelled(), if state != WorkerState::Draining => {}
                () = tokio::time::sleep(PAUSE_INTERVAL) => {
                    note_unknown(&mut knows, self.learn().await, "what was known stays in force");
                }
            }
        }
        let leave = async {
            // Ignored, as the next line would meet the same fault.
            let _ = self.traffic.flush(&*self.controls).await;
            self.controls.sign_off(&self.name).await
        };
        if !matches!(timeout(EDGE_TIMEOUT, leave).await, Ok(Ok(()))) {
            tracing::debug!("the worker could not sign off; its row is dropped in time");
        }
    }

    /// Returns once it is known what is paused, or that this database cannot tell: it answers, and its controls fail all
    /// the same, for want of a table or a right. Until then nothing is sent.
    async fn learn_first(&self, knows: &mut bool) {
        let mut failed_though_store_answers = false;
        loop {
            let learnt = timeout(EDGE_TIMEOUT, self.learn()).await;
            let learnt = learnt.unwrap_or_else(|_| Err(StoreError::Overloaded("no answer in time".into())));
            let may_be_of_controls = learnt.as_ref().is_err_and(is_of_controls);
            if note_unknown(knows, learnt, "nothing is sent while the store does not answer") {
                return;
            }
            // Twice in a row: a store that has just come back answers the second question too.
            let store_answers = may_be_of_controls && self.store_answers().await;
            if store_answers && failed_though_store_answers {
                tracing::warn!(
                    event = "control.unknown",
                    "this database cannot tell what is paused; nothing is paused here"
                );
                return;
            }
            if !store_answers {
                tokio::time::sleep(FIRST_PAUSE_INTERVAL).await;
            }
            failed_though_store_answers = store_answers;
        }
    }

    async fn store_answers(&self) -> bool {
        matches!(timeout(EDGE_TIMEOUT, self.store.backlog(0)).await, Ok(Ok(_)))
    }

    /// What was known stays in force while the store does not answer.
    async fn learn(&self) -> Result<(), StoreError> {
        self.obey(&self.controls.pauses().await?);
        Ok(())
    }

    fn obey(&self, pauses: &Pauses) {
        let relays: Vec<String> = pauses.relays().map(str::to_owned).collect();
        self.transport.pause_relays(&relays);
        if self.pausing.set(pauses) {
            let scopes: Vec<String> = pauses.in_force.iter().map(|pause| pause.scope.to_string()).collect();
            tracing::info!(
                event = "control.changed",
                paused = scopes.join(", "),
                "an operator has changed what is paused"
            );
        }
    }

    fn state(&self, drain: &CancellationToken) -> WorkerState {
        if drain.is_cancelled() {
            return WorkerState::Draining;
        }
        let relays = self.transport.relays();
        let has_no_relay = !relays.is_empty() && relays.iter().all(|relay| relay.is_paused);
        if self.pausing.has_all() || has_no_relay { WorkerState::Paused } else { WorkerState::Running }
    }

    async fn report(&self, state: WorkerState) -> Result<(), StoreError> {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let report = WorkerReport {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running_for: self.started.elapsed(),
            concurrency: number(self.concurrency),
            in_flight: number(self.tasks.len()),
            state,
            relays: self.transport.relays(),
        };
        self.controls.report_worker(&report).await?;
        self.traffic.flush(&*self.controls).await
    }
}

/// An error that time alone may not mend. A missing table and a missing right are told as a store that is not available.
fn is_of_controls(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::Unreadable(_))
}

/// Logs once that it is not known any more what is paused, and `so`; tells whether it is known.
fn note_unknown(knows: &mut bool, learnt: Result<(), StoreError>, so: &str) -> bool {
    let was_known = std::mem::replace(knows, learnt.is_ok());
    if let Err(error) = learnt
        && was_known
    {
        tracing::warn!(event = "control.unknown", %error, "it is not known what is paused; {so}");
    }
    *knows
}

/// Logs the beginning and the end of an outage, not every report.
fn note(answers: &mut bool, reported: Result<(), StoreError>) {
    match reported {
        Ok(()) => *answers = true,
        Err(error) if *answers => {
            tracing::warn!(event = "worker.unreported", %error, "the worker works, but cannot report itself");
            *answers = false;
        }
        Err(_) => {}
    }
}
