//! A lean HTTP client: kept connections, one request at a time on each, one thread for all of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::mail::{BATCH, Request};

/// Times of answers, in order of their length, and of all of it.
pub(crate) struct Answers {
    latencies: Vec<Duration>,
    took: Duration,
}

impl Answers {
    pub(crate) fn new(mut latencies: Vec<Duration>, took: Duration) -> Self {
        latencies.sort_unstable();
        Self { latencies, took }
    }

    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// The time in milliseconds within which this share of the answers came.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.count().checked_sub(1).expect("at least one answer");
        self.latencies[(last as f64 * share).round() as usize].as_secs_f64() * 1e3
    }
}

/// A connection to mailqueue-http.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("mailqueue-http takes connections");
        stream.set_nodelay(true).expect("TCP");
        Self { stream, buffer: Vec::with_capacity(64 << 10) }
    }

    /// Returns once the request is answered.
    ///
    /// # Panics
    ///
    /// When the answer is not 200.
    pub(crate) async fn send(&mut self, request: &Request) {
        self.stream.write_all(&request.octets).await.expect("mailqueue-http reads");
        self.buffer.clear();
        while !is_whole(&self.buffer) {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("mailqueue-http answers");
            assert_ne!(read, 0, "mailqueue-http hung up: {}", String::from_utf8_lossy(&self.buffer));
        }
        let answer = &self.buffer;
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "refused: {}", String::from_utf8_lossy(answer));
    }
}

/// True once the head and as many octets as it announces are there.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return false };
    // As hyper writes it: in lower case.
    let length = memmem::find(&answer[..end], b"\r\ncontent-length: ").map(|at| &answer[at + 18..end]);
    let digits = length.expect("answers tell their length").iter().take_while(|octet| octet.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    answer.len() >= end + 4 + length
}

/// Submits from `connections` at once, each as soon as it has its answer, for `time`.
pub(crate) fn submit(address: SocketAddr, connections: usize, time: Duration) -> Answers {
    submit_at(address, connections, time, None, &AtomicUsize::new(0))
}

/// The same, no faster than `rate` messages a second, counting in `accepted` meanwhile. A connection that is behind its
/// time submits at once until it is not.
pub(crate) fn submit_at(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    rate: Option<u32>,
    accepted: &AtomicUsize,
) -> Answers {
    runtime().block_on(async {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push(Connection::open(address).await);
        }
        let begun = Instant::now();
        let senders = open.into_iter().enumerate().map(async |(first, mut connection)| {
            let mut latencies = Vec::new();
            for n in (first..).step_by(connections) {
                if let Some(rate) = rate {
                    let at = begun + Duration::from_secs(1) * u32::try_from(n).expect("a short run") / rate;
                    tokio::time::sleep_until(at.into()).await;
                }
                let request = Request::single(address, n);
                let sent = Instant::now();
                if sent - begun >= time {
                    break;
                }
                connection.send(&request).await;
                latencies.push(sent.elapsed());
                accepted.fetch_add(1, Ordering::Relaxed);
            }
            latencies
        });
        let latencies = futures_util::future::join_all(senders).await.concat();
        Answers::new(latencies, begun.elapsed())
    })
}

/// Submits `messages` in batches, as fast as it goes.
pub(crate) fn fill(address: SocketAddr, messages: usize) {
    const CONNECTIONS: usize = 8;
    runtime().block_on(async {
        let mut senders = JoinSet::new();
        for first in 0..CONNECTIONS {
            senders.spawn(async move {
                let mut connection = Connection::open(address).await;
                for n in (first * BATCH..messages).step_by(CONNECTIONS * BATCH) {
                    connection.send(&Request::batch(address, n, BATCH.min(messages - n))).await;
                }
            });
        }
        senders.join_all().await;
    });
}

/// A runtime of this thread's own.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
