//! The proxy, in front of an echo and in front of Postgres.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mailqueue_testing::{CutAt, Direction, Postgres, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_postgres::NoTls;

/// A server that sends everything back until its runtime ends.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    address
}

async fn proxied() -> (Proxy, TcpStream) {
    let proxy = Proxy::start(echo().await).await;
    let mut client = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    assert_eq!(say(&mut client, b"hello").await, b"hello");
    (proxy, client)
}

/// Sends and waits for as many bytes to come back.
async fn say(client: &mut TcpStream, words: &[u8]) -> Vec<u8> {
    client.write_all(words).await.expect("the connection is open");
    let mut answer = vec![0; words.len()];
    client.read_exact(&mut answer).await.expect("the connection is open");
    answer
}

/// What comes until the connection ends.
async fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match timeout(Duration::from_secs(10), client.read_to_end(&mut bytes)).await {
        Ok(Err(fault)) => assert_eq!(fault.kind(), ErrorKind::ConnectionReset),
        Ok(Ok(_)) => {}
        Err(_) => panic!("the connection has not ended"),
    }
    bytes
}

async fn is_silent(client: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(200), client.read_u8()).await.is_err()
}

#[tokio::test]
async fn an_end_of_file_is_passed_on() {
    let (proxy, mut client) = proxied().await;
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, b"last");
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn a_refusing_proxy_keeps_its_open_connections_and_comes_back() {
    let (proxy, mut client) = proxied().await;
    proxy.refuse().await;
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(say(&mut client, b"still here").await, b"still here");
    proxy.pass().await;
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut other, b"back").await, b"back");
}

#[tokio::test]
async fn swallowed_bytes_are_lost_and_so_is_their_connection() {
    let (proxy, mut old) = proxied().await;
    proxy.blackhole();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    for client in [&mut old, &mut new] {
        client.write_all(b"lost").await.unwrap();
        assert!(is_silent(client).await);
    }
    proxy.pass().await;
    old.write_all(b"after").await.unwrap();
    assert_eq!(rest(&mut old).await, b"");
    assert_eq!(rest(&mut new).await, b"");
    let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut fresh, b"fresh").await, b"fresh");
}

#[tokio::test]
async fn stalled_bytes_go_on_their_way_later() {
    let (proxy, mut old) = proxied().await;
    for direction in [Direction::ToTarget, Direction::FromTarget] {
        proxy.stall(direction);
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        for client in [&mut old, &mut new] {
            client.write_all(b"late").await.unwrap();
            assert!(is_silent(client).await);
        }
        proxy.pass().await;
        for client in [&mut old, &mut new] {
            let mut answer = [0; 4];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"late");
        }
    }
}

#[tokio::test]
async fn a_cut_closes_all_connections_and_spares_new_ones() {
    let (proxy, mut client) = proxied().await;
    proxy.cut();
    assert_eq!(rest(&mut client).await, b"");
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut other, b"new").await, b"new");
}

#[tokio::test]
async fn a_counted_cut_passes_exactly_so_many_bytes() {
    let (proxy, mut client) = proxied().await;
    proxy.cut_after(Direction::FromTarget, 7);
    assert_eq!(say(&mut client, b"1234").await, b"1234");
    client.write_all(b"56789").await.unwrap();
    assert_eq!(rest(&mut client).await, b"567");
    proxy.wait_for_cuts(1).await;
    // It is spent.
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut other, b"1234567890").await, b"1234567890");
    assert_eq!(proxy.cuts(), 1);
}

#[tokio::test]
async fn a_needle_cuts_before_or_after_it() {
    for (at, passed) in [(CutAt::Before, "begin "), (CutAt::After, "begin COMMIT")] {
        let (proxy, mut client) = proxied().await;
        proxy.cut_on(Direction::FromTarget, "COMMIT", at);
        client.write_all(b"begin COMMIT end").await.unwrap();
        assert_eq!(rest(&mut client).await, passed.as_bytes(), "{at:?}");
    }
    let (proxy, mut client) = proxied().await;
    proxy.cut_on(Direction::ToTarget, "COMMIT", CutAt::Before);
    proxy.disarm();
    assert_eq!(say(&mut client, b"COMMIT").await, b"COMMIT");
}

#[tokio::test]
async fn a_delay_delays_both_ways() {
    let (proxy, mut client) = proxied().await;
    proxy.delay(Duration::from_millis(60));
    let begun = Instant::now();
    say(&mut client, b"slow").await;
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn the_answer_to_a_commit_can_be_lost() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    postgres.query(&url, "CREATE TABLE t (n int)");
    let proxy = Proxy::start(postgres.address()).await;
    for (direction, needle, committed) in
        [(Direction::FromTarget, b"COMMIT\0".as_slice(), "1"), (Direction::ToTarget, b"COMMIT", "1")]
    {
        let (client, connection) = tokio_postgres::connect(&proxy.url(&url), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
        proxy.cut_on(direction, needle, CutAt::Before);
        client.batch_execute("COMMIT").await.unwrap_err();
        // The first was committed though nobody was told, the second never arrived.
        let rows = postgres.query(&url, "SELECT count(*) FROM t");
        assert_eq!(rows[0][0].as_deref(), Some(committed), "{direction:?}");
    }
    assert_eq!(proxy.cuts(), 2);
}

#[tokio::test]
async fn a_dropped_proxy_takes_its_connections_along() {
    let (proxy, mut client) = proxied().await;
    let address = proxy.address();
    drop(proxy);
    assert_eq!(rest(&mut client).await, b"");
    assert!(TcpStream::connect(address).await.is_err());
}
