//! A Redis that answers and refuses: mail goes out all the same, and it is said once.

mod system;

use std::net::SocketAddr;

use mailqueue_core::Draft;
use mailqueue_testing::{Port, Redis};
use system::{System, WorkerProcess};

/// The log lines at the begin and the end of a refusal.
const BEGINS: &str = "Redis refuses this";
const ENDS: &str = "Redis does this again";

/// Lets a user do everything but the commands that take entries, or these as well.
fn permit(redis: &Redis, pops: char) -> String {
    let rules = [format!("{pops}zmpop"), format!("{pops}bzmpop")];
    redis.command(&["ACL", "SETUSER", "mq", "on", ">hunter2", "~*", "+@all", &rules[0], &rules[1]]);
    redis.url().replace("redis://", "redis://mq:hunter2@")
}

async fn deliver(system: &System, count: usize) {
    let draft = |n| Draft::new("s@example.com", format!("r{n}@example.org"), "Order").text("Order.");
    let receipts = system.outbox.submit_many((0..count).map(draft).collect()).await;
    let ids: Vec<_> = receipts.into_iter().map(|receipt| receipt.expect("it is taken").id).collect();
    system.finished(&ids).await;
}

/// The lines of a worker's log with this text about this operation.
fn said(worker: &WorkerProcess, text: &str, operation: &str) -> usize {
    let log = worker.log();
    log.lines().filter(|line| line.contains(text) && line.contains(operation)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_pull_is_told_once_and_mail_goes_out() {
    let system = System::start().await;
    let (url, port) = (permit(&system.redis, '-'), Port::reserve());
    let admin = port.address();
    let worker = system.worker(&[("REDIS_URL", &url), ("MAILQUEUE_ADMIN_LISTEN", &admin.to_string())]);
    worker.says(BEGINS).await;
    for _ in 0..3 {
        deliver(&system, 20).await;
    }
    assert_eq!(said(&worker, BEGINS, "pull"), 1, "{}", worker.log());
    assert!(!worker.log().contains("hunter2"));
    let shown = metrics(admin).await;
    let errors = |operation: &str| {
        let name = format!("mailqueue_queue_errors_total{{operation=\"{operation}\"}} ");
        let line = shown.lines().find_map(|line| line.strip_prefix(name.as_str())).map(str::to_owned);
        line.expect("it is shown from the start").parse::<u64>().expect("a number")
    };
    assert!(errors("pull") > 0, "{shown}");
    assert_eq!((errors("push"), errors("head"), errors("depth")), (0, 0, 0));

    permit(&system.redis, '+');
    worker.says(ENDS).await;
    deliver(&system, 20).await;
    assert_eq!((said(&worker, BEGINS, ""), said(&worker, ENDS, "")), (1, 1), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_told_once_and_mail_goes_out() {
    let system = System::start().await;
    // A master that is not there: a replica that serves what it has.
    system.redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let worker = system.worker(&[]);
    worker.says("READONLY").await;
    for _ in 0..3 {
        deliver(&system, 20).await;
    }
    assert_eq!(said(&worker, BEGINS, "pull"), 1, "{}", worker.log());
    assert!(said(&worker, BEGINS, "push") <= 1, "{}", worker.log());
    system.redis.command(&["REPLICAOF", "NO", "ONE"]);
    worker.says(ENDS).await;
}

/// The worker's metrics.
async fn metrics(admin: SocketAddr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(admin).await.expect("the worker listens");
    let request = "GET /metrics HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}
