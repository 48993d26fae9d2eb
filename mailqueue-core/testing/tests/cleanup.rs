//! Servers end with the test process, however that ends.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mailqueue_testing::{PostfixSink, Postgres, Redis};

/// Not a test of its own: the process that the test below kills.
#[test]
#[ignore = "started by servers_end_when_the_test_process_is_killed"]
fn a_process_that_holds_servers() {
    let (postgres, redis, postfix) = (Postgres::shared(), Redis::shared(), PostfixSink::start());
    let data = postgres.query(&postgres.url_for("postgres"), "SHOW data_directory")[0][0].clone().unwrap();
    let work = redis.command(&["CONFIG", "GET", "dir"]).lines().last().unwrap().to_owned();
    println!("\nservers {} {} {} {data} {work}", postgres.address(), redis.address(), postfix.address());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn servers_end_when_the_test_process_is_killed() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_holds_servers", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("servers ")).expect("the holder told its servers");
    let words: Vec<&str> = line.split(' ').collect();
    let mut connections: Vec<TcpStream> =
        words[1..4].iter().map(|address| TcpStream::connect(address).unwrap()).collect();
    assert!(Path::new(words[4]).exists() && Path::new(words[5]).exists());

    holder.kill().unwrap();
    holder.wait().unwrap();

    // A server's end closes its connections: a signal to wait for.
    for connection in &mut connections {
        connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        match connection.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(fault) => assert_eq!(fault.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    // The directories go last, and nothing tells when.
    let begun = Instant::now();
    while words[4..6].iter().any(|directory| Path::new(directory).exists()) {
        assert!(begun.elapsed() < Duration::from_secs(30), "left behind: {:?}", &words[4..6]);
        std::thread::yield_now();
    }
    for address in &words[1..4] {
        assert!(TcpStream::connect(address).is_err(), "{address} still listens");
    }
}

#[test]
fn a_dropped_smtp_sink_process_ends() {
    let postfix = PostfixSink::start();
    let address = postfix.address();
    assert_eq!(postfix.url(), format!("smtp://{address}"));
    assert!(TcpStream::connect(address).is_ok());
    drop(postfix);
    assert!(TcpStream::connect(address).is_err());
}
