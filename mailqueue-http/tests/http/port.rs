//! The port itself: size, time, order.

use std::time::{Duration, Instant};

use mailqueue_testing::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::test_server::{Reply, TestServer};

const HEAD: &str = "POST /emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
const BODY: &str = r#"{"to":"a@example.org","subject":"s","text":"t"}"#;

#[tokio::test]
async fn a_huge_body_is_refused_and_its_sender_gets_to_know() {
    let server = TestServer::open().await;
    let huge = vec![b'x'; 100 << 20];
    let reply = server.send("POST", "/emails", &[("Content-Type", "application/json")], &huge).await;
    reply.assert_problem(413, "payload_too_large");
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &huge[..1 << 20], b"\r\n"].concat();
    let mut request = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    (0..100).for_each(|_| request.extend_from_slice(&chunk));
    request.extend_from_slice(b"0\r\n\r\n");
    server.raw(&request).await.unwrap().assert_problem(413, "payload_too_large");
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn a_client_that_expects_100_is_refused_before_it_sends() {
    let server = TestServer::open().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("{HEAD}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("{HEAD}Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", BODY.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go = [0; 25];
    stream.read_exact(&mut go).await.unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(BODY.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    Reply::parse(&answer).id();
}

#[tokio::test]
async fn a_slow_client_is_disconnected() {
    let server = TestServer::open().await;
    let begun = Instant::now();
    let slow = async |start: String, least: u64, most: u64| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut answer)).await.unwrap();
        let took = begun.elapsed().as_secs_f64();
        assert!(took > least as f64 - 0.5 && took < most as f64, "{took}");
        answer
    };
    let (silent, half_head, half_body, half_chunk) = tokio::join!(
        slow(String::new(), 10, 14),
        slow("POST /emails HTTP/1.1\r\nHost: loc".into(), 10, 14),
        slow(format!("{HEAD}Content-Length: 100\r\n\r\n{{"), 15, 19),
        slow(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{{"), 15, 19),
    );
    assert!(silent.is_empty());
    assert!(half_head.is_empty() || half_head.starts_with(b"HTTP/1.1 408"));
    for body in [half_body, half_chunk] {
        Reply::parse(&body).assert_problem(408, "request_timeout");
    }
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored() {
    let server = TestServer::open().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{HEAD}Content-Length: 1000\r\n\r\n{BODY}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || Reply::parse(&answer).status == 400);
    assert!(server.stored().await.is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_after_sending_has_sent_its_message() {
    let server = TestServer::open().await;
    for n in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("{HEAD}Content-Length: {}\r\n\r\n{BODY}", BODY.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
        eventually("its message is stored", async || server.stored().await.len() > n).await;
        assert_eq!(server.stored().await.len(), n + 1);
    }
}

#[tokio::test]
async fn requests_follow_one_another_on_a_connection() {
    let server = TestServer::open().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let one = format!("{HEAD}Content-Length: {}\r\n\r\n{BODY}", BODY.len());
    let last = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{one}{one}{last}").as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(server.stored().await.len(), 2);
}

#[tokio::test]
async fn every_answer_carries_the_requests_id() {
    let server = TestServer::open().await;
    let given = server.send("GET", "/livez", &[("X-Request-Id", "a-1.b_2")], b"").await;
    assert_eq!(given.header("x-request-id"), Some("a-1.b_2"));
    let made = server.send("GET", "/nowhere", &[("X-Request-Id", "a b")], b"").await;
    assert_eq!(made.header("x-request-id").unwrap().len(), 32);
}

#[tokio::test]
async fn a_server_that_ends_lets_requests_end_and_takes_no_more() {
    let server = TestServer::open().await;
    let mut open = TcpStream::connect(server.address).await.unwrap();
    let (begin, rest) = BODY.split_at(20);
    let head = format!("{HEAD}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", BODY.len());
    open.write_all(head.as_bytes()).await.unwrap();
    // Only an answer shows that the request has begun; a connection without one may be closed at once.
    let mut go = [0; 25];
    open.read_exact(&mut go).await.unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    open.write_all(begin.as_bytes()).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    idle.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    server.end.cancel();
    eventually("the port is closed", async || TcpStream::connect(server.address).await.is_err()).await;
    assert!(!server.running.is_finished());
    open.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    open.read_to_end(&mut answer).await.unwrap();
    Reply::parse(&answer).id();
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), server.running).await.unwrap().unwrap();
}
