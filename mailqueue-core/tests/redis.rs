//! The queue contract on a healthy Redis, and its answer to foreign contents and settings.
#![cfg(all(feature = "redis", feature = "conformance"))]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mailqueue_core::contracts::queue::{Entry, Queue, QueueError};
use mailqueue_core::domain::id::MessageId;
use mailqueue_core::domain::lane::Lane;
use mailqueue_core::queue::redis::{RedisOpenError, RedisOptions, RedisQueue};
use mailqueue_testing::{Redis, eventually};
use time::OffsetDateTime;

const PULL_TIMEOUT: Duration = Duration::from_secs(20);

/// Options with a name that no other test has, and a timeout that a busy machine keeps.
fn options() -> RedisOptions {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    RedisOptions { name, timeout: Duration::from_secs(10), ..RedisOptions::default() }
}

fn open_with(options: RedisOptions) -> RedisQueue {
    RedisQueue::open(&Redis::shared().url().into(), options).expect("the options are good")
}

async fn open() -> Arc<dyn Queue> {
    Arc::new(open_with(options()))
}

mailqueue_core::queue_conformance!(open);

/// A user who may do what README.md says, and nothing else.
mod as_the_readme_says {
    use super::*;

    /// The line of README.md that makes the user, split into words, with this password.
    fn acl(password: &str) -> Vec<String> {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let readme = std::fs::read_to_string(readme).expect("README.md is there");
        let mut lines = readme.lines().filter(|line| line.starts_with("ACL SETUSER mailqueue "));
        let line = lines.next().expect("README.md gives the line");
        assert_eq!(lines.next(), None, "README.md gives one line");
        line.split(' ').map(|word| word.replace("PASSWORD", password)).collect()
    }

    fn url(database: usize) -> String {
        static MADE: OnceLock<()> = OnceLock::new();
        MADE.get_or_init(|| {
            let words = acl("hunter2");
            Redis::shared().command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        });
        Redis::shared().url_db(database).replace("redis://", "redis://mailqueue:hunter2@")
    }

    async fn open() -> Arc<dyn Queue> {
        Arc::new(RedisQueue::open(&url(0).into(), options()).expect("the options are good"))
    }

    mailqueue_core::queue_conformance!(open);

    #[tokio::test]
    async fn a_database_can_be_chosen_and_strange_keys_and_garbage_be_removed() {
        let options = options();
        let key = key(&options, Lane::Normal);
        let queue = RedisQueue::open(&url(0).into(), options.clone()).unwrap();
        Redis::shared().command(&["SET", &key, "strange"]);
        assert_eq!(queue.push(&[entry(Lane::Normal, 0)]).await.unwrap(), 1);
        Redis::shared().command(&["ZADD", &key, "1", "garbage"]);
        assert_eq!(queue.head(Lane::Normal).await.unwrap(), Some(entry(Lane::Normal, 0).due_at));
        assert_eq!(queue.depth(Lane::Normal).await.unwrap(), 1);
        let elsewhere = RedisQueue::open(&url(7).into(), options).unwrap();
        assert_eq!(elsewhere.depth(Lane::Normal).await.unwrap(), 0);
    }
}

fn entry(lane: Lane, second: i64) -> Entry {
    let due_at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_700_000_000 + second);
    Entry { lane, due_at, id: MessageId::new(due_at) }
}

fn key(options: &RedisOptions, lane: Lane) -> String {
    format!("mailqueue:{{{}}}:{lane}", options.name)
}

#[tokio::test]
async fn entries_lie_where_the_keys_say_and_as_they_say() {
    let options = options();
    let key = key(&options, Lane::Urgent);
    let mut pushed = entry(Lane::Urgent, 0);
    pushed.due_at += Duration::from_micros(7);
    open_with(options).push(&[pushed]).await.unwrap();
    let members = Redis::shared().command(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]);
    assert_eq!(members, format!("{}\n1700000000000007", pushed.id));
}

#[tokio::test]
async fn queues_of_other_names_are_left_alone() {
    let (one, other) = (open_with(options()), open_with(options()));
    one.push(&[entry(Lane::Normal, 0)]).await.unwrap();
    assert_eq!(other.depth(Lane::Normal).await.unwrap(), 0);
    assert_eq!(other.pull(&Lane::ALL, 1, Duration::ZERO).await.unwrap().ids, []);
}

#[tokio::test]
async fn a_large_batch_arrives_whole() {
    let queue = open_with(options());
    let entries: Vec<Entry> = (0..2_500).map(|second| entry(Lane::Bulk, second)).collect();
    assert_eq!(queue.push(&entries).await.unwrap(), 2_500);
    let pulled = queue.pull(&Lane::ALL, 5_000, PULL_TIMEOUT).await.unwrap().ids;
    assert!(pulled.into_iter().eq(entries.iter().map(|entry| entry.id)));
}

#[tokio::test]
async fn a_full_lane_is_spared_until_there_is_room() {
    let options = RedisOptions { cap: 10, ..options() };
    let queue = open_with(options);
    let first: Vec<Entry> = (0..10).map(|second| entry(Lane::Normal, second)).collect();
    assert_eq!(queue.push(&first).await.unwrap(), 10);
    for second in 10..20 {
        assert!(queue.push(&[entry(Lane::Normal, second)]).await.unwrap() >= 10);
    }
    assert_eq!(queue.depth(Lane::Normal).await.unwrap(), 10);
    assert_eq!(queue.push(&[entry(Lane::Urgent, 0)]).await.unwrap(), 1, "another lane has room");
    assert_eq!(queue.pull(&[Lane::Normal], 5, PULL_TIMEOUT).await.unwrap().ids.len(), 5);
    eventually("the lane is known to have room", async || {
        queue.push(&[entry(Lane::Normal, 30)]).await.unwrap();
        queue.depth(Lane::Normal).await.unwrap() >= 6
    })
    .await;
}

/// The depth that a push of a full lane asks for makes room for that very push.
#[tokio::test]
async fn a_push_that_finds_room_is_not_left_out() {
    let options = RedisOptions { cap: 1, ..options() };
    let (key, queue) = (key(&options, Lane::Normal), open_with(options));
    queue.push(&[entry(Lane::Normal, 0)]).await.unwrap();
    Redis::shared().command(&["DEL", &key]);
    // The time is the point: longer than a full lane is remembered.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let pushed = entry(Lane::Normal, 1);
    assert_eq!(queue.push(&[pushed]).await.unwrap(), 1);
    assert_eq!(queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await.unwrap().ids, [pushed.id]);
}

#[tokio::test]
async fn a_key_that_is_no_sorted_set_is_removed() {
    let options = options();
    let (key, queue) = (key(&options, Lane::Normal), open_with(options));
    let spoil = || Redis::shared().command(&["SET", &key, "something else"]);
    spoil();
    assert_eq!(queue.head(Lane::Normal).await.unwrap(), None);
    spoil();
    assert_eq!(queue.depth(Lane::Normal).await.unwrap(), 0);
    spoil();
    assert_eq!(queue.pull(&Lane::ALL, 1, Duration::from_millis(100)).await.unwrap().ids, []);
    spoil();
    let (normal, urgent) = (entry(Lane::Normal, 0), entry(Lane::Urgent, 0));
    assert_eq!(queue.push(&[normal, urgent]).await.unwrap(), 1);
    for pushed in [urgent, normal] {
        assert_eq!(queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await.unwrap().ids, [pushed.id]);
    }
}

#[tokio::test]
async fn garbage_hides_no_head_and_stops_no_pull() {
    let options = options();
    let (key, queue) = (key(&options, Lane::Normal), open_with(options));
    let pushed = entry(Lane::Normal, 0);
    queue.push(&[pushed]).await.unwrap();
    let scatter = || {
        let id = MessageId::new(pushed.due_at).to_string();
        Redis::shared()
            .command(&["ZADD", &key, "-inf", &id, "0", "no id", "1", "", "2", "\r\n\0", "inf", "last"])
    };
    scatter();
    assert_eq!(queue.head(Lane::Normal).await.unwrap(), Some(pushed.due_at));
    scatter();
    let mut pulled = Vec::new();
    while !pulled.contains(&pushed.id) {
        let page = queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await.unwrap().ids;
        assert!(!page.is_empty(), "a pull came back empty from a lane that holds an entry");
        pulled.extend(page);
    }
    assert!(queue.pull(&Lane::ALL, 10, Duration::ZERO).await.unwrap().ids.is_empty());
}

#[tokio::test]
async fn garbage_without_end_is_an_empty_lane() {
    let options = options();
    let (key, queue) = (key(&options, Lane::Normal), open_with(options));
    let members: Vec<String> = (0..20_000).map(|number| format!("garbage {number}")).collect();
    for some in members.chunks(5_000) {
        let words = ["ZADD", key.as_str()].into_iter().chain(some.iter().flat_map(|member| ["0", member]));
        Redis::shared().command(&words.collect::<Vec<_>>());
    }
    assert_eq!(queue.head(Lane::Normal).await.unwrap(), None);
    assert!(queue.depth(Lane::Normal).await.unwrap() < 20_000, "none of it was removed");
}

/// A pull that nobody waits for any more must not stand in line at the server either.
#[tokio::test]
async fn a_cancelled_pull_is_forgotten_by_the_server() {
    let (redis, mut options) = (Redis::start(), options());
    options.name = "cancelled".to_owned();
    let queue = RedisQueue::open(&redis.url().into(), options).unwrap();
    let blocked =
        || redis.command(&["INFO", "clients"]).lines().any(|line| line.trim() == "blocked_clients:1");
    tokio::select! {
        pulled = queue.pull(&Lane::ALL, 1, 3 * PULL_TIMEOUT) => panic!("nothing was pushed, but {pulled:?} pulled"),
        () = eventually("the pull waits at the server", async || blocked()) => {}
    }
    eventually("the server forgets the dropped pull", async || !blocked()).await;
    let pushed = entry(Lane::Normal, 0);
    assert_eq!(queue.push(&[pushed]).await.unwrap(), 1);
    assert_eq!(queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await.unwrap().ids, [pushed.id]);
}

#[tokio::test]
async fn connections_are_kept_from_call_to_call() {
    let (redis, options) = (Redis::start(), options());
    let queue = RedisQueue::open(&redis.url().into(), options).unwrap();
    for second in 0..50 {
        queue.push(&[entry(Lane::Normal, second)]).await.unwrap();
        queue.pull(&Lane::ALL, 1, PULL_TIMEOUT).await.unwrap();
        queue.head(Lane::Normal).await.unwrap();
    }
    let clients = redis.command(&["CLIENT", "LIST"]).lines().filter(|line| !line.trim().is_empty()).count();
    assert!(clients <= 3, "one for the pool, one for the pulls, one that asks: {clients}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_shown_nowhere() {
    let redis = Redis::start();
    redis.command(&["ACL", "SETUSER", "default", "resetpass", ">right-hunter2"]);
    let url = |password: &str| redis.url().replace("redis://", &format!("redis://default:{password}@"));
    let queue = RedisQueue::open(&url("wrong-hunter2").into(), options()).unwrap();
    for _ in 0..2 {
        let errors = [
            queue.push(&[entry(Lane::Normal, 0)]).await.unwrap_err(),
            queue.pull(&Lane::ALL, 1, Duration::ZERO).await.unwrap_err(),
            queue.head(Lane::Normal).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, QueueError::Refused(_)), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
    assert!(!format!("{queue:?}").contains("hunter2"));

    let anonymous = RedisQueue::open(&redis.url().into(), options()).unwrap();
    assert!(matches!(anonymous.head(Lane::Normal).await, Err(QueueError::Refused(_))));
    let queue = RedisQueue::open(&url("right-hunter2").into(), options()).unwrap();
    assert_eq!(queue.push(&[entry(Lane::Normal, 0)]).await.unwrap(), 1);
    assert_eq!(queue.pull(&Lane::ALL, 1, Duration::ZERO).await.unwrap().ids.len(), 1);
}

#[test]
fn a_setting_that_cannot_be_opened_is_named_without_the_url() {
    let open = |url: &str, options| RedisQueue::open(&url.into(), options).unwrap_err();
    for url in ["", "hunter2", "http://hunter2@host", "redis://:hunter2@host:port", "redis://:hunter2@host/x"]
    {
        let error = open(url, RedisOptions::default());
        assert_eq!(error, RedisOpenError::Url, "{url}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
    let good = "redis://localhost";
    let named = |name: &str| RedisOptions { name: name.to_owned(), ..RedisOptions::default() };
    assert_eq!(open(good, named("a}b")), RedisOpenError::Name);
    let unbounded = RedisOptions { timeout: Duration::ZERO, ..RedisOptions::default() };
    assert_eq!(open(good, unbounded), RedisOpenError::Bounds);
    let unconnected = RedisOptions { connections: 0, ..RedisOptions::default() };
    assert_eq!(open(good, unconnected), RedisOpenError::Bounds);
}

#[cfg(feature = "smtp")]
mod tls {
    use mailqueue_testing::Certificate;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A Redis behind TLS is reached when the process trusts its authority, and only then. Which it trusts comes from
    /// the environment, so this runs in processes of its own.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_redis_behind_tls_is_reached_if_trusted() {
        let (trusted, other) = (Certificate::new(), Certificate::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("rediss://{}", listener.local_addr().unwrap());
        let acceptor = TlsAcceptor::from(trusted.server_config());
        let front = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(Redis::shared().address()).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        for (certificate, expected) in [(&trusted, "reached"), (&other, "not reached")] {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "tls::child", "--ignored", "--nocapture"]);
            child.env("SSL_CERT_FILE", certificate.ca_pem_file()).env("MAILQUEUE_TEST_URL", &url);
            let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains(&format!("was {expected}")), "{text}");
        }
        front.abort();
    }

    #[tokio::test]
    #[ignore = "a_redis_behind_tls_is_reached_if_trusted runs it"]
    async fn child() {
        let Ok(url) = std::env::var("MAILQUEUE_TEST_URL") else { return };
        let queue = RedisQueue::open(&url.into(), options()).unwrap();
        match queue.push(&[entry(Lane::Normal, 0)]).await {
            Ok(1) => println!("was reached"),
            other => println!("was not reached: {other:?}"),
        }
    }
}
