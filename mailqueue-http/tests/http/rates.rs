//! How often one client may ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mailqueue_http::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::keys::entry;
use crate::test_server::{BROWSER, Reply, TestServer, plain};

/// What an answer says is left: limit, remaining, reset.
fn told(reply: &Reply) -> [u64; 3] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(|name| {
        reply.header(name).unwrap_or_else(|| panic!("no {name}: {}", reply.head)).parse().unwrap()
    })
}

#[track_caller]
fn assert_too_many(reply: &Reply, per: u64) {
    reply.assert_problem(429, "rate_limit_exceeded");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=per).contains(&wait), "{wait}");
    assert_eq!(told(reply)[1], 0);
}

#[tokio::test]
async fn every_key_has_a_rate_of_its_own() {
    let list = [entry("shop", "mq_one", ""), entry("shop", "mq_two", ":scope=send")].join(",");
    let options =
        Options { api_keys: list.parse().unwrap(), key_rate: Some("3/h".parse().unwrap()), ..plain() };
    let server = TestServer::public(options).await;
    let ask = async |key: &str| {
        server.send("GET", "/emails", &[("Authorization", &format!("Bearer {key}"))], b"").await
    };
    for left in [2, 1, 0] {
        let reply = ask("mq_one").await;
        assert_eq!(reply.status, 200);
        assert_eq!(told(&reply), [3, left, (3 - left) * 1200]);
    }
    assert_too_many(&ask("mq_one").await, 1200);
    // What is refused for another reason has been asked all the same, and the other key has its own allowance.
    let refused = ask("mq_two").await;
    refused.assert_problem(403, "restricted_api_key");
    assert_eq!(told(&refused)[1], 2);
    for _ in 0..5 {
        let wrong = ask("mq_three").await;
        wrong.assert_problem(403, "invalid_api_key");
        assert_eq!(wrong.header("ratelimit-limit"), None);
    }
}

#[tokio::test]
async fn many_at_once_get_no_more_than_one_after_the_other() {
    let options = Options {
        api_keys: entry("shop", "mq_one", "").parse().unwrap(),
        key_rate: Some("10/h".parse().unwrap()),
        ..plain()
    };
    let server = TestServer::public(options).await;
    let headers = [("Authorization", "Bearer mq_one"), ("Content-Type", "application/json")];
    let body = br#"{"to":"a@example.org","subject":"s","text":"t"}"#;
    let all = (0..32).map(|_| server.send("POST", "/emails", &headers, body));
    let replies = futures_util::future::join_all(all).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 10);
    assert!(replies.iter().all(|reply| [200, 429].contains(&reply.status)));
    assert_eq!(server.stored().await.len(), 10);
}

#[tokio::test]
async fn without_a_rate_nothing_is_said_of_one() {
    let server = TestServer::open().await;
    for reply in [server.get("/emails").await, server.fill_in("assunto=a&mensagem=b", &[]).await] {
        assert_eq!((reply.status, reply.header("ratelimit-limit")), (200, None));
    }
}

/// The form's rate as it is without settings.
fn with_form_rate() -> Options {
    Options { form_rate: Options::default().form_rate, ..plain() }
}

#[tokio::test]
async fn the_form_is_sent_ten_times_from_one_address() {
    for server in
        [TestServer::with("127.0.0.1:0", with_form_rate()).await, TestServer::public(with_form_rate()).await]
    {
        for n in 0..10 {
            // Faulty ones and those that fall into the trap count as well.
            let fields =
                ["assunto=a&mensagem=b", "assunto=&mensagem=b", "assunto=a&mensagem=b&website=x"][n % 3];
            assert!(server.fill_in(fields, &[]).await.status != 429, "{n}");
        }
        let stored = server.stored().await.len();
        assert_too_many(&server.fill_in("assunto=a&mensagem=b", &[]).await, 6);
        // Nobody may say that they come from elsewhere, and nobody else's page can use up the allowance.
        for (name, value) in
            [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("X-Real-Ip", "192.0.2.1")]
        {
            assert_too_many(&server.fill_in("assunto=a&mensagem=b", &[(name, value)]).await, 6);
        }
        let page = server.fill_in("assunto=a&mensagem=b", &[BROWSER, ("Accept-Language", "en")]).await;
        assert_eq!(page.status, 429);
        assert!(page.header("retry-after").is_some() && page.text().contains("a little too often"));
        assert_eq!(server.stored().await.len(), stored);
        assert_eq!(server.get("/").await.status, 200, "looking is no sending");
        assert_eq!(elsewhere(&server).await.status, 200, "another address has its own allowance");
    }
}

#[tokio::test]
async fn other_sites_use_up_nobodys_allowance() {
    let server = TestServer::with("127.0.0.1:0", with_form_rate()).await;
    for _ in 0..20 {
        let foreign = server.fill_in("assunto=a&mensagem=b", &[("Origin", "https://evil.example")]).await;
        foreign.assert_problem(403, "invalid_access");
    }
    assert_eq!(server.fill_in("assunto=a&mensagem=b", &[]).await.status, 200);
}

#[tokio::test]
async fn behind_a_proxy_the_last_address_it_names_counts() {
    let rate = Some("2/h".parse().unwrap());
    let client_address = Some("x-forwarded-for".parse().unwrap());
    let server = TestServer::public(Options { form_rate: rate, client_address, ..plain() }).await;
    let send = async |values: &[&str]| {
        let headers: Vec<_> = values.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        server.fill_in("assunto=a&mensagem=b", &headers).await
    };
    assert_eq!(send(&["192.0.2.1"]).await.status, 200);
    assert_eq!(send(&["10.0.0.9, 192.0.2.1"]).await.status, 200);
    // However much the client makes up before it, it stays the same client.
    for same in [&["198.51.100.7, 192.0.2.1"][..], &["198.51.100.7", "192.0.2.1"], &["::ffff:192.0.2.1"]] {
        assert_too_many(&send(same).await, 1800);
    }
    assert_eq!(send(&["198.51.100.7"]).await.status, 200);
    for (n, host) in ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"].into_iter().enumerate() {
        assert_eq!(send(&[host]).await.status, if n < 2 { 200 } else { 429 }, "{host}");
    }
    assert_eq!(send(&["2001:db8:0:1::1"]).await.status, 200);
    // What names nobody counts as the proxy itself.
    assert_eq!(
        [send(&[]).await.status, send(&["unknown"]).await.status, send(&[""]).await.status],
        [200, 200, 429]
    );
}

#[tokio::test]
async fn a_request_by_way_of_the_proxy_is_not_local() {
    let client_address = Some("x-client-ip".parse().unwrap());
    let server = TestServer::with("127.0.0.1:0", Options { client_address, ..plain() }).await;
    assert_eq!(server.get("/emails").await.status, 200);
    let proxied = server.send("GET", "/emails", &[("X-Client-Ip", "127.0.0.1")], b"").await;
    proxied.assert_problem(401, "missing_api_key");
}

/// Sends the form from another address of this machine.
async fn elsewhere(server: &TestServer) -> Reply {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0)).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 20\r\n\
                   Content-Type: application/x-www-form-urlencoded\r\n\r\nassunto=a&mensagem=b";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    Reply::parse(&answer)
}
