//! The throw-away Redis.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mailqueue_testing::Redis;

#[test]
fn the_shared_server_is_one_and_keeps_databases_apart() {
    let redis = Redis::shared();
    assert_eq!(redis.address(), Redis::shared().address());
    redis.command(&["SET", "shared:key", "value"]);
    assert_eq!(redis.command(&["GET", "shared:key"]), "value");
    assert_eq!(redis.command(&["GET", "shared:nothing"]), "");
    assert_eq!(redis.url(), format!("redis://{}", redis.address()));
    assert_eq!(redis.url_db(255), format!("redis://{}/255", redis.address()));
}

#[test]
fn flushing_empties_it() {
    let redis = Redis::start();
    redis.command(&["ZADD", "lane", "1", "a", "2", "b"]);
    assert_eq!(redis.command(&["ZRANGE", "lane", "0", "-1"]), "a\nb");
    redis.flush();
    assert_eq!(redis.command(&["DBSIZE"]), "0");
}

#[test]
fn a_stopped_server_comes_back_on_its_port_and_empty() {
    let mut redis = Redis::start();
    let (address, pid) = (redis.address(), redis.pid());
    redis.command(&["SET", "key", "value"]);
    redis.stop();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(!std::fs::exists(format!("/proc/{pid}")).unwrap());
    redis.start_again();
    assert_eq!(redis.address(), address);
    assert_eq!(redis.command(&["DBSIZE"]), "0");
}

#[test]
fn a_frozen_server_answers_nobody_until_it_is_thawed() {
    let mut redis = Redis::start();
    let mut client = TcpStream::connect(redis.address()).unwrap();
    redis.freeze();
    client.write_all(b"PING\r\n").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut pong = [0; 7];
    let silence = client.read(&mut pong).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    redis.thaw();
    client.set_read_timeout(None).unwrap();
    client.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"+PONG\r\n");
}

#[test]
#[should_panic(expected = "OOM")]
fn a_full_server_refuses_in_its_own_words() {
    let redis = Redis::start();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    redis.command(&["SET", "key", "value"]);
}
