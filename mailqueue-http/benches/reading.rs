//! What it takes to read a request: a round trip alone, and the same with messages that are read to their end and then
//! refused, so that no database is measured.
//!
//! `cargo bench -p mailqueue-http --bench reading`. What a message costs beyond the round trip is the reading of its JSON.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailqueue_core::{Outbox, connect};
use mailqueue_http::{App, Options, Server};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A server on a thread of its own.
struct Running {
    address: SocketAddr,
    _runtime: Runtime,
    _folder: TempDir,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let database = format!("sqlite://{}", folder.path().join("mail.db").display());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let server = runtime.block_on(async {
            let store = connect::store(&database.into()).await.expect("the database opens");
            let queue = connect::queue(None).expect("a queue in this process");
            let app = App::new(Outbox::start(store, queue).await, Options::default());
            Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), app).await.expect("a port is free")
        });
        let address = server.local_addr().expect("it listens");
        runtime.spawn(server.run(std::future::pending()));
        Self { address, _runtime: runtime, _folder: folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it takes connections");
        stream.set_nodelay(true).expect("TCP");
        stream
    }
}

/// One request and its answer, which must begin with a status.
fn ask(stream: &mut TcpStream, request: &[u8], status: &str, buffer: &mut [u8]) {
    stream.write_all(request).expect("it reads");
    let mut length = 0;
    while !is_whole(&buffer[..length]) {
        let read = stream.read(&mut buffer[length..]).expect("it answers");
        assert_ne!(read, 0, "it hung up");
        length += read;
    }
    assert!(buffer.starts_with(status.as_bytes()), "{}", String::from_utf8_lossy(&buffer[..length]));
}

/// True once the head and as many octets as it announces are there.
fn is_whole(answer: &[u8]) -> bool {
    let text = std::str::from_utf8(answer).expect("answers are UTF-8");
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).expect("answers tell their length")
}

/// A message whose last member is unknown.
fn post(text: usize) -> Vec<u8> {
    let line = r"It is on its way, and this line is as long as lines are.\n";
    let text = line.repeat(text / line.len());
    let body = format!(
        r#"{{"from":"Shop <shop@example.com>","to":"ana@example.org","subject":"Order","text":"{text}","unknown":1}}"#
    );
    let head =
        "POST /emails HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length:";
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn reading(criterion: &mut Criterion) {
    let server = Running::start();
    let (mut stream, mut buffer) = (server.connect(), vec![0; 64 << 10]);
    let mut group = criterion.benchmark_group("reading");
    let livez = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    group.bench_function("round trip", |bencher| {
        bencher.iter(|| ask(&mut stream, livez, "HTTP/1.1 200", &mut buffer));
    });
    for (name, text) in [("1 KiB", 1 << 10), ("64 KiB", 64 << 10)] {
        let request = post(text);
        group.throughput(Throughput::Bytes(request.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| ask(&mut stream, &request, "HTTP/1.1 422", &mut buffer));
        });
    }
    group.finish();
}

criterion_group!(requests, reading);
criterion_main!(requests);
