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

use crate::answer::Answer;
use crate::app::App;
use crate::request::Peer;
use stream::Stream;

/// How long a client may take for the head of a request, and how long a connection may stay silent.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// The largest head that is looked at at all; [`head`](crate::head) is stricter and says why.
const HEAD_LIMIT: usize = 64 * 1024;

/// How long no connection is taken after the system refused one, for want of descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

    /// How long requests may take to end after the server was told to; 25 s unless told otherwise.
    #[must_use]
    pub fn drain_within(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// How many connections are held at once; further ones wait in the system's queue. 1,024 unless told otherwise.
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
        let Self { listener, app, drain, connections } = self;
        let loopback = listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
        let talk = Talk {
            app,
            loopback,
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            cut: CancellationToken::new(),
        };
        tokio::select! {
            () = accept(&listener, connections, &talk) => {}
            () = shutdown => {}
        }
        drop(listener);
        talk.drain.cancel();
        talk.tasks.close();
        if tokio::time::timeout(drain, talk.tasks.wait()).await.is_err() {
            tracing::warn!(left = talk.tasks.len(), "requests were cut off: they did not end in time");
            talk.cut.cancel();
        }
    }
}

/// Takes connections, never more than `most` at once.
async fn accept(listener: &TcpListener, most: usize, talk: &Talk) {
    let seats = Arc::new(Semaphore::new(most));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let talk = talk.clone();
                talk.tasks.clone().spawn(async move {
                    talk.with(stream, from.ip()).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What it takes to serve connections.
#[derive(Clone)]
struct Talk {
    app: App,
    loopback: bool,
    tasks: TaskTracker,
    /// Ends connections after the request that is under way.
    drain: CancellationToken,
    /// Ends them at once.
    cut: CancellationToken,
}

impl Talk {
    /// Serves one connection until it ends.
    async fn with(&self, stream: TcpStream, address: IpAddr) {
        // Without it every second small answer on a kept connection waits 40 ms for the client's delayed ACK.
        // That it cannot be set on a connection that is already gone is no fault.
        let _ = stream.set_nodelay(true);
        let faulty = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Stream::new(stream, Arc::clone(&faulty)));
        let service = service_fn(|request| {
            let faulty = faulty.load(Ordering::Acquire);
            let peer = Peer { address, loopback: self.loopback, faulty };
            self.answer(request, peer)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(HEAD_LIMIT)
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
    async fn answer(&self, request: hyper::Request<Incoming>, peer: Peer) -> Result<Answer, Infallible> {
        let answer = self.tasks.spawn(self.app.clone().answer(request, peer)).await;
        Ok(answer.unwrap_or_else(|_| crate::problem::Problem::broken().into_answer(false)))
    }
}
