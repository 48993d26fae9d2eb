//! Pauses that come late: while ids are in hand, or after a first question that the store does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mailqueue_core::connect::{self, StoreOptions};
use mailqueue_core::contracts::controls::{
    HistoryRetention, Pause, PauseRequest, Pauses, Traffic, TrafficCount, TrafficRange, WorkerReport,
    WorkerState, Workers,
};
use mailqueue_core::contracts::transport::{Gate, Outgoing};
use mailqueue_core::domain::pause_scope::PauseScope;
use mailqueue_core::domain::report::Report;
use mailqueue_core::transport::memory::MemoryTransport;
use mailqueue_core::{
    Controls, Draft, Lane, MessageId, MessageStore, Outbox, Queue, Status, StoreError, Transport,
};
use mailqueue_testing::eventually;
use mailqueue_worker::{CancellationToken, Worker};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A database file, an outbox and the controls.
struct Parts {
    _folder: tempfile::TempDir,
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    controls: Arc<dyn Controls>,
    outbox: Outbox,
    drain: CancellationToken,
}

impl Parts {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("mail.db").display());
        let database = connect::database(&url.into(), StoreOptions::default()).await.expect("it opens");
        let queue = connect::queue(None).expect("it needs no server");
        let outbox = Outbox::start(Arc::clone(&database.store), Arc::clone(&queue)).await;
        let (store, controls) = (database.store, database.controls);
        Self { _folder: folder, store, queue, controls, outbox, drain: CancellationToken::new() }
    }

    fn run(&self, transport: Arc<dyn Transport>, controls: Arc<dyn Controls>) -> JoinHandle<()> {
        let (store, queue) = (Arc::clone(&self.store), Arc::clone(&self.queue));
        let worker = Worker::builder(store, queue, transport).controls(controls).build();
        tokio::spawn(worker.run(self.drain.clone()))
    }

    async fn submit(&self, lane: Lane) -> MessageId {
        let draft = Draft::new("shop@example.com", "ana@example.org", "Hello").text("Hello.");
        self.outbox.submit(Draft { lane, ..draft }).await.expect("accepted").id
    }

    async fn pause(&self, scope: PauseScope) {
        self.controls.pause(&PauseRequest::new(scope, "ana")).await.expect("a pause is kept");
    }

    /// True while it waits as it was submitted.
    async fn is_untouched(&self, id: MessageId) -> bool {
        let record = self.outbox.get(id).await.expect("the store answers").expect("it is there");
        (record.delivery.status, record.delivery.attempt) == (Status::Queued, 0)
    }
}

/// A transport that is not ready from the second question on, until it is released.
struct Tripped {
    inner: MemoryTransport,
    asked: watch::Sender<usize>,
    released: CancellationToken,
}

#[async_trait]
impl Transport for Tripped {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        self.inner.send(message, gate).await
    }

    async fn ready(&self) -> usize {
        self.asked.send_modify(|asked| *asked += 1);
        if *self.asked.borrow() > 1 {
            self.released.cancelled().await;
        }
        8
    }

    fn is_untroubled(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_obeyed_for_ids_that_wait_for_the_relays() {
    let parts = Parts::new().await;
    let bulk = parts.submit(Lane::Bulk).await;
    let (inner, asked, released) = (MemoryTransport::new(), watch::Sender::new(0), CancellationToken::new());
    let transport = Arc::new(Tripped { inner: inner.clone(), asked, released: released.clone() });
    let running = parts.run(Arc::clone(&transport) as Arc<dyn Transport>, Arc::clone(&parts.controls));
    transport.asked.subscribe().wait_for(|asked| *asked == 2).await.expect("it lives");
    parts.pause(PauseScope::Lane(Lane::Bulk)).await;
    parts.pause(PauseScope::Everything).await;
    eventually("the worker obeys", async || {
        let rows = parts.controls.workers().await.expect("workers can be read").rows;
        rows.iter().any(|row| row.state == WorkerState::Paused)
    })
    .await;
    released.cancel();
    parts.controls.resume(&PauseScope::Everything).await.expect("it is answered");
    let normal = parts.submit(Lane::Normal).await;
    assert_eq!(inner.wait_for(1).await[0].id, normal);
    assert!(parts.is_untouched(bulk).await);
    parts.controls.resume(&PauseScope::Lane(Lane::Bulk)).await.expect("it is answered");
    inner.wait_for(2).await;
    parts.drain.cancel();
    running.await.expect("it drains");
}

/// Controls that do not answer the first `faults` questions for what is paused.
struct Silent {
    inner: Arc<dyn Controls>,
    asked: AtomicUsize,
    faults: usize,
}

#[async_trait]
impl Controls for Silent {
    async fn pause(&self, request: &PauseRequest) -> Result<Pause, StoreError> {
        self.inner.pause(request).await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<bool, StoreError> {
        self.inner.resume(scope).await
    }

    async fn pauses(&self) -> Result<Pauses, StoreError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) < self.faults {
            return Err(StoreError::Overloaded("too many clients".into()));
        }
        self.inner.pauses().await
    }

    async fn report_worker(&self, report: &WorkerReport) -> Result<(), StoreError> {
        self.inner.report_worker(report).await
    }

    async fn sign_off(&self, name: &str) -> Result<(), StoreError> {
        self.inner.sign_off(name).await
    }

    async fn workers(&self) -> Result<Workers, StoreError> {
        self.inner.workers().await
    }

    async fn add_traffic(&self, counts: &[TrafficCount]) -> Result<(), StoreError> {
        self.inner.add_traffic(counts).await
    }

    async fn traffic(&self, range: &TrafficRange) -> Result<Traffic, StoreError> {
        self.inner.traffic(range).await
    }

    async fn prune_history(&self, retention: &HistoryRetention) -> Result<(), StoreError> {
        self.inner.prune_history(retention).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_it_is_known_what_is_paused() {
    let parts = Parts::new().await;
    parts.pause(PauseScope::Lane(Lane::Bulk)).await;
    let bulk = parts.submit(Lane::Bulk).await;
    let normal = parts.submit(Lane::Normal).await;
    let transport = MemoryTransport::new();
    let controls = Silent { inner: Arc::clone(&parts.controls), asked: AtomicUsize::new(0), faults: 3 };
    let running = parts.run(Arc::new(transport.clone()), Arc::new(controls));
    let sent = transport.wait_for(1).await;
    assert_eq!(sent.iter().map(|message| message.id).collect::<Vec<_>>(), [normal]);
    assert!(parts.is_untouched(bulk).await);
    parts.drain.cancel();
    running.await.expect("it drains");
}
