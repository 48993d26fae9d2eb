//! A TCP proxy that fails on demand.

mod connection;
mod direction;
mod trigger;
mod valve;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::port::Port;
use crate::runtime;
use connection::Shared;
pub use direction::Direction;
pub use trigger::CutAt;
use trigger::Trigger;
use valve::{Flow, Valve};

/// A TCP proxy in front of a server; what it does with bytes and connections changes while it runs.
///
/// It passes everything on at first. It runs apart from the test's runtime and ends, its connections with
/// it, when it is dropped.
pub struct Proxy {
    port: Port,
    target: SocketAddr,
    shared: Arc<Shared>,
    connections: TaskTracker,
    listening: Mutex<Option<Listening>>,
    end: CancellationToken,
}

struct Listening {
    stop: CancellationToken,
    task: TaskTracker,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proxy")
            .field("address", &self.address())
            .field("target", &self.target)
            .field("open", &self.open())
            .field("cuts", &self.cuts())
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy in front of `target`, which need not listen yet.
    pub async fn start(target: SocketAddr) -> Self {
        let proxy = Self {
            port: Port::reserve(),
            target,
            shared: Arc::new(Shared::new(target)),
            connections: TaskTracker::new(),
            listening: Mutex::new(None),
            end: CancellationToken::new(),
        };
        proxy.listen().await;
        proxy
    }

    /// Where it listens, refusing or not.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `url` with the proxy's address in place of the target's.
    ///
    /// # Panics
    ///
    /// When the target's address is not in it.
    pub fn url(&self, url: &str) -> String {
        let target = self.target.to_string();
        assert!(url.contains(&target), "{url} does not lead to {target}");
        url.replacen(&target, &self.address().to_string(), 1)
    }

    /// Passes everything on, without delay, and accepts connections. Connections that lost bytes in a
    /// [blackhole](Proxy::blackhole) are closed at their next byte, what was [stalled](Proxy::stall) goes
    /// on its way. Armed cuts stay armed.
    pub async fn pass(&self) {
        self.shared.valve.send_replace(Valve::default());
        self.listen().await;
    }

    /// Leads new connections elsewhere, as when an address moves to another machine. Open ones stay where they lead.
    pub fn lead_to(&self, target: SocketAddr) {
        self.shared.lead_to(target);
    }

    /// Closes the port, so that new connections are refused when this returns. Open ones live on; see
    /// [`Proxy::cut`].
    pub async fn refuse(&self) {
        // A statement of its own: the guard must not live across the await.
        let listening = self.listening().take();
        if let Some(listening) = listening {
            listening.stop.cancel();
            listening.task.wait().await;
        }
    }

    /// Accepts connections, swallows all bytes both ways and never answers.
    pub fn blackhole(&self) {
        self.swallow(Direction::ToTarget);
        self.swallow(Direction::FromTarget);
    }

    /// Swallows all bytes that go this way.
    pub fn swallow(&self, direction: Direction) {
        self.shared.valve.send_modify(|valve| *valve.flow_mut(direction) = Flow::Swallow);
    }

    /// Stops all bytes that go this way, and new connections, until the next [`Proxy::pass`]; none is
    /// lost. So a network behaves that is cut and then healed.
    pub fn stall(&self, direction: Direction) {
        self.shared.valve.send_modify(|valve| *valve.flow_mut(direction) = Flow::Stall);
    }

    /// Delays every piece of data, both ways, by this time.
    pub fn delay(&self, time: Duration) {
        self.shared.valve.send_modify(|valve| valve.delay = time);
    }

    /// Closes all connections, on both sides. New ones are welcome.
    pub fn cut(&self) {
        self.shared.cut_all();
    }

    /// Closes a connection when `count` more bytes have gone this way, counted over all connections.
    /// Exactly these are passed on. Acts once.
    pub fn cut_after(&self, direction: Direction, count: usize) {
        self.shared.arm(Trigger::after(direction, count));
    }

    /// Closes the connection on which `needle` goes this way, before or after it has been passed on. Acts
    /// once.
    ///
    /// If a needle comes in several pieces, the earlier ones have been passed on by the time it is
    /// recognised. It cannot be seen through TLS.
    ///
    /// # Panics
    ///
    /// When the needle is empty or longer than 256 bytes.
    pub fn cut_on(&self, direction: Direction, needle: impl AsRef<[u8]>, at: CutAt) {
        self.shared.arm(Trigger::on(direction, needle.as_ref(), at));
    }

    /// Disarms all cuts.
    pub fn disarm(&self) {
        self.shared.disarm();
    }

    /// How many connections armed cuts have closed.
    pub fn cuts(&self) -> usize {
        *self.shared.cuts.borrow()
    }

    /// Returns as soon as armed cuts have closed `count` connections or more.
    ///
    /// # Panics
    ///
    /// After 60 seconds.
    pub async fn wait_for_cuts(&self, count: usize) {
        reach(&self.shared.cuts, count, "cuts").await;
    }

    /// How many connections have been accepted.
    pub fn accepted(&self) -> usize {
        *self.shared.accepted.borrow()
    }

    /// Returns as soon as `count` connections or more have been accepted.
    ///
    /// # Panics
    ///
    /// After 60 seconds.
    pub async fn wait_for_accepted(&self, count: usize) {
        reach(&self.shared.accepted, count, "connections").await;
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.connections.len()
    }

    async fn listen(&self) {
        if self.listening().is_some() {
            return;
        }
        let address = self.address();
        // On the peers' runtime: a listener is tied to the one it is bound on.
        let bound = runtime::handle().spawn(TcpListener::bind(address)).await;
        let listener = bound.expect("binding a port does not panic");
        let listener =
            listener.unwrap_or_else(|fault| panic!("the proxy cannot listen on {address}: {fault}"));
        let listening = Listening { stop: self.end.child_token(), task: TaskTracker::new() };
        let (shared, connections) = (Arc::clone(&self.shared), self.connections.clone());
        let (stop, end) = (listening.stop.clone(), self.end.clone());
        listening.task.spawn_on(accept(listener, shared, connections, stop, end), runtime::handle());
        listening.task.close();
        *self.listening() = Some(listening);
    }

    fn listening(&self) -> MutexGuard<'_, Option<Listening>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(listening) = self.listening().take() {
            runtime::finish(listening.task);
        }
        runtime::finish(self.connections.clone());
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: TaskTracker,
    stop: CancellationToken,
    end: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((client, _)) = accepted else {
            // Out of file descriptors, most likely: they come back as connections end.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Read here: a connection that came before a cut must not miss it.
        let cut = shared.connected();
        let connection = connection::serve(client, Arc::clone(&shared), cut);
        let end = end.clone();
        connections.spawn(async move { end.run_until_cancelled(connection).await });
    }
}

async fn reach(count: &watch::Sender<usize>, wanted: usize, what: &str) {
    let mut count = count.subscribe();
    // On the peers' runtime: the test may have paused its own clock.
    let mut limit = runtime::handle().spawn(tokio::time::sleep(Duration::from_secs(60)));
    let reached = tokio::select! {
        reached = count.wait_for(|count| *count >= wanted) => reached.is_ok(),
        _ = &mut limit => false,
    };
    limit.abort();
    assert!(reached, "the proxy has not seen {wanted} {what} within 60 s, but {}", *count.borrow());
}
