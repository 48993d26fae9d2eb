//! The port: connections in, their limits, and an orderly end.

mod framing;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::router::Router;
use crate::wire::peer::Peer;
use crate::wire::response::Response;
use stream::Stream;

/// The time for the head of a request, and the longest silence on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head that is looked at at all; [`head`](crate::wire::head) is stricter and says why.
const MAX_HEAD: usize = 64 * 1024;

/// The pause after the system refused a connection, for want of descriptors mostly.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A listening server.
pub struct Server {
    listener: TcpListener,
    app: App,
    drain: Duration,
    connections: usize,
}

impl Server {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The system's, when it does not give the address.
    pub async fn bind(address: SocketAddr, app: App) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, app, drain: Duration::from_secs(25), connections: 1024 })
    }

    /// Sets the time for requests to end once the server ends; 25 s by default.
    #[must_use]
    pub fn drain_within(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// Sets the largest number of connections at once; further ones wait in the system's queue. 1,024 by default.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// The address it listens on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` ends, then takes no more connections, lets the requests that are under way end, and
    /// returns. Whatever has not ended in time is cut off.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, app, drain, connections: limit } = self;
        // An IPv4 address may come in its IPv6 form.
        let loopback = listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
        let connections = Connections {
            router: Router::new(app),
            loopback,
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            cut: CancellationToken::new(),
        };
        tokio::select! {
            () = accept(&listener, limit, &connections) => {}
            () = shutdown => {}
        }
        // New connections are refused at once, not after the drain.
        drop(listener);
        connections.drain.cancel();
        connections.tasks.close();
        if tokio::time::timeout(drain, connections.tasks.wait()).await.is_err() {
            tracing::warn!(
                event = "server.cut_off",
                left = connections.tasks.len(),
                "requests were cut off: they did not end in time"
            );
            connections.cut.cancel();
        }
    }
}

/// Takes connections, never more than `limit` at once.
async fn accept(listener: &TcpListener, limit: usize, connections: &Connections) {
    let slots = Arc::new(Semaphore::new(limit));
    loop {
        // Before the accept, so that connections above the limit wait in the system's queue.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let connections = connections.clone();
                connections.tasks.clone().spawn(async move {
                    connections.with(stream, from.ip()).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(event = "server.accept_failed", %error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
}

/// Serves connections.
#[derive(Clone)]
struct Connections {
    router: Router,
    loopback: bool,
    tasks: TaskTracker,
    /// Ends connections after the request that is under way.
    drain: CancellationToken,
    /// Ends them at once.
    cut: CancellationToken,
}

impl Connections {
    /// Serves one connection until it ends.
    async fn with(&self, stream: TcpStream, address: IpAddr) {
        // Without it every second small answer on a kept connection waits 40 ms for the client's delayed ACK.
        // That it cannot be set on a connection that is already gone is no fault.
        let _ = stream.set_nodelay(true);
        let faulty = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Stream::new(stream, Arc::clone(&faulty)));
        let service = service_fn(|request| {
            // Set by `Stream` before hyper reads the same bytes, so it is known when the request is.
            let faulty = faulty.load(Ordering::Acquire);
            let peer = Peer { address, loopback: self.loopback, faulty };
            self.respond(request, peer)
        });
        // HTTP/1 alone: hyper-util's detection of HTTP/2 never times out a silent connection.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            // A client may end its side after the request and still read the answer.
            .half_close(true)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        // How a connection ends is the client's affair: what is worth a line stands in the access log.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.drain.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            _ = connection => {}
            () = self.cut.cancelled() => {}
        }
    }

    /// Answers in a task of its own: a client that hangs up does not undo what it has asked for.
    async fn respond(&self, request: hyper::Request<Incoming>, peer: Peer) -> Result<Response, Infallible> {
        let response = self.tasks.spawn(self.router.clone().respond(request, peer)).await;
        Ok(response.unwrap_or_else(|_| crate::wire::problem::Problem::broken().into_response(false)))
    }
}
