//! The access log of the binary: a line a request, and none is lost when it ends.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

const REQUESTS: usize = 500;

#[test]
fn every_request_has_its_line_when_the_process_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_mailqueue-http"))
        .env_clear()
        .env("MAILQUEUE_LISTEN", "127.0.0.1:0")
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    let listening = log.find(|line| line.contains("url=http://")).unwrap();
    // Read meanwhile: a full pipe would stop the process.
    let log = std::thread::spawn(move || log.collect::<Vec<String>>());
    let address = listening.split_once("url=http://").unwrap().1.split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    for n in 0..REQUESTS {
        let close = if n + 1 == REQUESTS { "Connection: close\r\n" } else { "" };
        write!(
            stream,
            "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: request-{n}\r\n{close}\r\n"
        )
        .unwrap();
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 404").count(), REQUESTS);
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    let lines = log.join().unwrap();
    assert!(process.wait().unwrap().success());
    for n in 0..REQUESTS {
        let id = format!("request_id=\"request-{n}\"");
        let mut own = lines.iter().filter(|line| line.split_ascii_whitespace().any(|word| word == id));
        assert!(own.next().is_some_and(|line| line.contains("answered")), "request {n} has a line");
        assert!(own.next().is_none(), "request {n} has one line");
    }
}
