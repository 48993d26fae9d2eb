//! The Redis queue while Redis is killed, frozen, cut off, flushed and full: no call waits longer than its timeout,
//! and all goes on once Redis is back.
#![cfg(feature = "redis")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mailqueue_core::contracts::queue::{Entry, Queue, QueueError};
use mailqueue_core::domain::id::MessageId;
use mailqueue_core::domain::lane::Lane;
use mailqueue_core::queue::redis::{RedisOptions, RedisQueue};
use mailqueue_testing::{Direction, Proxy, Redis, eventually};
use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The timeout that the queue is given.
const CALL_TIMEOUT: Duration = Duration::from_millis(300);

/// The longest that a call may take in fact, for the machine may be busy.
const MAX_CALL_TIME: Duration = Duration::from_secs(5);

const PULL_TIMEOUT: Duration = Duration::from_secs(30);

fn open(url: &str) -> RedisQueue {
    let options = RedisOptions { timeout: CALL_TIMEOUT, ..RedisOptions::default() };
    RedisQueue::open(&url.into(), options).expect("the options are good")
}

fn entry(second: i64) -> Entry {
    let due_at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_700_000_000 + second);
    Entry { lane: Lane::Normal, due_at, id: MessageId::new(due_at) }
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Push,
    Pull,
    PullWaiting,
    Head,
    Depth,
}

impl Call {
    const ALL: [Self; 5] = [Self::Push, Self::Pull, Self::PullWaiting, Self::Head, Self::Depth];

    async fn make(self, queue: &RedisQueue) -> Result<(), QueueError> {
        match self {
            Self::Push => queue.push(&[entry(0)]).await.map(drop),
            Self::Pull => queue.pull(&Lane::ALL, 1, Duration::ZERO).await.map(drop),
            Self::PullWaiting => queue.pull(&Lane::ALL, 1, Duration::from_millis(100)).await.map(drop),
            Self::Head => queue.head(Lane::Normal).await.map(drop),
            Self::Depth => queue.depth(Lane::Normal).await.map(drop),
        }
    }
}

/// A queue for each call, with connections that have been used.
async fn warm(url: &str) -> Vec<(Call, RedisQueue)> {
    let mut queues = Vec::new();
    for call in Call::ALL {
        let queue = open(url);
        works_again(&queue).await;
        queues.push((call, queue));
    }
    queues
}

/// Makes every call until it succeeds.
async fn works_again(queue: &RedisQueue) {
    for call in Call::ALL {
        eventually(&format!("{call:?} works again"), async || call.make(queue).await.is_ok()).await;
    }
}

/// The first call fails within the timeout, and then all kinds of calls fail without waiting for anything.
async fn fails_in_time_and_then_at_once(queues: &[(Call, RedisQueue)]) {
    for (call, queue) in queues {
        let begun = Instant::now();
        let error = call.make(queue).await.expect_err("Redis cannot have answered");
        assert!(matches!(error, QueueError::Unavailable(_)), "{call:?}: {error:?}");
        assert!(begun.elapsed() < MAX_CALL_TIME, "{call:?} took {:?}", begun.elapsed());

        let begun = Instant::now();
        for _ in 0..40 {
            for call in Call::ALL {
                call.make(queue).await.expect_err("Redis cannot have answered");
            }
        }
        // If each had waited for the timeout it would have been a minute.
        assert!(begun.elapsed() < MAX_CALL_TIME, "200 calls took {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_killed_redis_costs_no_time_and_comes_back_empty() {
    let mut redis = Redis::start();
    let queues = warm(&redis.url()).await;
    queues[0].1.push(&[entry(1), entry(2)]).await.unwrap();
    redis.stop();
    fails_in_time_and_then_at_once(&queues).await;
    redis.start_again();
    for (_, queue) in &queues {
        works_again(queue).await;
    }
    let queue = &queues[0].1;
    while !queue.pull(&Lane::ALL, 10, Duration::ZERO).await.unwrap().ids.is_empty() {}
    assert_eq!(queue.head(Lane::Normal).await.unwrap(), None);
    assert_eq!(queue.push(&[entry(3)]).await.unwrap(), 1);
}

#[tokio::test]
async fn connections_that_have_just_ended_fail_no_call() {
    let redis = Redis::start();
    for (call, queue) in warm(&redis.url()).await {
        redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        call.make(&queue).await.unwrap_or_else(|error| panic!("{call:?}: {error}"));
    }
}

#[tokio::test]
async fn a_redis_that_is_down_from_the_start_is_no_fault_of_opening() {
    let mut redis = Redis::start();
    redis.stop();
    let queues: Vec<_> = Call::ALL.map(|call| (call, open(&redis.url()))).into();
    fails_in_time_and_then_at_once(&queues).await;
    redis.start_again();
    for (_, queue) in &queues {
        works_again(queue).await;
    }
}

#[tokio::test]
async fn a_frozen_redis_is_waited_for_once_and_used_again_when_it_thaws() {
    let mut redis = Redis::start();
    let mut queues = warm(&redis.url()).await;
    // And queues that have no connection yet.
    queues.extend(Call::ALL.map(|call| (call, open(&redis.url()))));
    redis.freeze();
    fails_in_time_and_then_at_once(&queues).await;
    redis.thaw();
    for (_, queue) in &queues {
        works_again(queue).await;
    }
}

#[tokio::test]
async fn a_black_hole_is_waited_for_once_and_forgotten_when_it_closes() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.address()).await;
    for hole in
        [&[Direction::ToTarget, Direction::FromTarget][..], &[Direction::ToTarget], &[Direction::FromTarget]]
    {
        let queues = warm(&proxy.url(&redis.url())).await;
        for direction in hole {
            proxy.swallow(*direction);
        }
        fails_in_time_and_then_at_once(&queues).await;
        proxy.pass().await;
        for (_, queue) in &queues {
            works_again(queue).await;
        }
    }
}

/// A network that holds back what it is given, and delivers it in the end, delivers it to nobody's confusion.
#[tokio::test]
async fn late_answers_answer_no_other_question() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.address()).await;
    let queue = open(&proxy.url(&redis.url()));
    works_again(&queue).await;
    queue.pull(&Lane::ALL, 100, Duration::ZERO).await.unwrap();
    queue.push(&[entry(1), entry(2), entry(3)]).await.unwrap();
    for direction in [Direction::FromTarget, Direction::ToTarget] {
        proxy.stall(direction);
        queue.depth(Lane::Normal).await.expect_err("Redis cannot have answered");
        proxy.pass().await;
        let mut head = None;
        eventually("the head can be asked for", async || {
            head = queue.head(Lane::Normal).await.ok();
            head.is_some()
        })
        .await;
        assert_eq!(head, Some(Some(entry(1).due_at)));
        assert_eq!(queue.depth(Lane::Normal).await.unwrap(), 3);
    }
}

/// Connections that the server closes, in use or idle, are no reason to fail while it answers on new ones.
#[tokio::test]
async fn killed_connections_fail_no_call() {
    let redis = Redis::start();
    let options = RedisOptions { timeout: PULL_TIMEOUT, ..RedisOptions::default() };
    let queue = std::sync::Arc::new(RedisQueue::open(&redis.url().into(), options).unwrap());
    for round in 0..5 {
        for call in Call::ALL {
            call.make(&queue).await.unwrap();
        }
        queue.pull(&Lane::ALL, 100, Duration::ZERO).await.unwrap();
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await }
        });
        blocked(&redis).await;
        redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        blocked(&redis).await;
        let pushed = entry(round);
        queue.push(&[pushed]).await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap().ids, [pushed.id]);
    }
}

/// Returns once a pull waits at the server.
async fn blocked(redis: &Redis) {
    let is_blocked = async || redis.command(&["INFO", "clients"]).contains("blocked_clients:1");
    eventually("a pull waits at the server", is_blocked).await;
}

#[tokio::test]
async fn a_flush_under_waiting_pulls_disturbs_none() {
    let redis = Redis::start();
    let options = RedisOptions { timeout: PULL_TIMEOUT, ..RedisOptions::default() };
    let queue = std::sync::Arc::new(RedisQueue::open(&redis.url().into(), options).unwrap());
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await }
    });
    blocked(&redis).await;
    for _ in 0..5 {
        redis.flush();
    }
    let pushed = entry(0);
    queue.push(&[pushed]).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().ids, [pushed.id]);

    queue.push(&[entry(1), entry(2)]).await.unwrap();
    redis.flush();
    assert_eq!(queue.head(Lane::Normal).await.unwrap(), None);
    assert_eq!(queue.pull(&Lane::ALL, 1, Duration::ZERO).await.unwrap().ids, []);
    assert_eq!(queue.push(&[entry(3)]).await.unwrap(), 1);
}

/// A Redis without memory takes nothing more but still gives, so it is not left alone.
#[tokio::test]
async fn a_full_redis_refuses_pushes_and_serves_pulls() {
    let redis = Redis::start();
    let queue = RedisQueue::open(
        &redis.url().into(),
        RedisOptions { timeout: PULL_TIMEOUT, ..RedisOptions::default() },
    )
    .unwrap();
    let pushed = entry(0);
    queue.push(&[pushed]).await.unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..3 {
        let error = queue.push(&[entry(1)]).await.unwrap_err();
        assert!(matches!(&error, QueueError::Refused(why) if why.message().contains("OOM")), "{error:?}");
    }
    assert_eq!(queue.head(Lane::Normal).await.unwrap(), Some(pushed.due_at));
    assert_eq!(queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await.unwrap().ids, [pushed.id]);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(queue.push(&[entry(2)]).await.unwrap(), 1);
}

/// A Redis that evicts throws whole lanes away; that is a flush like any other.
#[tokio::test]
async fn an_evicting_redis_loses_entries_and_fails_no_call() {
    let redis = Redis::start();
    let options = RedisOptions { timeout: PULL_TIMEOUT, ..RedisOptions::default() };
    let queue = RedisQueue::open(&redis.url().into(), options).unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "3mb"]);
    let mut held = 0;
    for page in 0..40 {
        let entries: Vec<Entry> = (0..1_000).map(|number| entry(page * 1_000 + number)).collect();
        held = queue.push(&entries).await.unwrap();
    }
    assert!(held < 40_000, "nothing was evicted");
    queue.head(Lane::Normal).await.unwrap();
    queue.pull(&Lane::ALL, 10, Duration::ZERO).await.unwrap();
}

/// Answers the commands of one connection as a node of a cluster that is down: the question whether it is there succeeds,
/// all others fail.
async fn answer_as_down(socket: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(socket).lines();
    while let Some(count) = lines.next_line().await? {
        let words: usize = count.trim_start_matches('*').parse().unwrap_or(0);
        let mut name = String::new();
        for word in 0..words {
            let _length = lines.next_line().await?;
            let said = lines.next_line().await?.unwrap_or_default();
            if word == 0 {
                name = said.to_uppercase();
            }
        }
        let answer = match name.as_str() {
            "PING" => "+PONG\r\n",
            "CLIENT" | "SELECT" => "+OK\r\n",
            _ => "-CLUSTERDOWN The cluster is down\r\n",
        };
        lines.get_mut().get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_out_of_service_is_asked_once_by_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(answer_as_down(socket));
        }
    });
    let queue = open(&url);
    let error = queue.push(&[entry(0)]).await.expect_err("it is down");
    assert!(error.to_string().contains("CLUSTERDOWN"), "{error}");
    let connections = connections.load(Ordering::Relaxed);
    assert!(connections <= 2, "{connections} connections for one call");
}
