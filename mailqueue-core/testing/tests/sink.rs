//! The sink as an ordinary SMTP server.

use std::io::ErrorKind;
use std::time::Duration;

use client::Client;
use mailqueue_testing::{Action, Certificate, Credentials, Phase, SmtpSink, Tls};
use tokio::net::TcpStream;

#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod client;

#[tokio::test]
async fn a_message_is_recorded_as_it_was_received() {
    let sink = SmtpSink::start().await;
    let mut client = Client::greeted(sink.address()).await;
    client.ask("MAIL FROM:<a@client.test> SIZE=20 BODY=8BITMIME SMTPUTF8").await;
    client.ask("RCPT TO:<b@x.test>").await;
    client.ask("RCPT TO:<ç@x.test>").await;
    client.ask("DATA").await;
    client.send("Subject: é\r\n\r\n..\r\n.dot\r\n").await;
    assert_eq!(client.ask(".").await, "250 2.0.0 taken");

    let [message] = sink.messages().try_into().unwrap();
    assert_eq!((message.number, message.connection, message.message), (1, 1, 1));
    assert_eq!(message.sender, "a@client.test");
    assert_eq!(message.recipients, ["b@x.test", "ç@x.test"]);
    assert_eq!(message.parameters, ["SIZE=20", "BODY=8BITMIME", "SMTPUTF8"]);
    assert_eq!(
        (message.size, message.body_type.as_deref(), message.smtputf8),
        (Some(20), Some("8BITMIME"), true)
    );
    assert_eq!(message.raw, "Subject: é\r\n\r\n..\r\n.dot\r\n");
    assert_eq!(message.body, "Subject: é\r\n\r\n.\r\ndot\r\n");
    assert_eq!(message.digest().len(), 64);
    assert!(!message.tls && message.credentials.is_none());
    assert_eq!(sink.record(|record| record.violations.clone()), [""; 0]);
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order_and_bodies_cut_at_their_dots() {
    let sink = SmtpSink::start().await;
    let mut client = Client::greeted(sink.address()).await;
    let envelope = "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nRCPT TO:<c@x.test>\r\nDATA\r\n";
    client.send(envelope).await;
    for code in ["250", "250", "250", "354"] {
        assert_eq!(&client.reply().await[..3], code);
    }
    // The dot and the next transaction in one piece.
    client.send(format!("one\r\n.\r\n{envelope}")).await;
    for code in ["250", "250", "250", "250", "354"] {
        assert_eq!(&client.reply().await[..3], code);
    }
    client.send(".\r\nQUIT\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 taken");
    assert_eq!(client.reply().await, "221 2.0.0 bye");
    assert_eq!(client.rest().await, (vec![], None));
    let bodies: Vec<_> = sink.messages().into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["one\r\n", ""]);
    assert_eq!(sink.record(|record| record.conversations[0].messages), 2);
    assert_eq!(
        sink.commands(1)[1..5],
        ["MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "RCPT TO:<c@x.test>", "DATA"]
    );
}

#[tokio::test]
async fn only_crlf_dot_crlf_ends_a_body() {
    let sink = SmtpSink::start().await;
    let mut client = Client::greeted(sink.address()).await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n").await;
    for _ in 0..3 {
        client.reply().await;
    }
    client.send("a\n.\nb\r\n.\rc\n.\r\n").await;
    // The end mark comes byte by byte.
    for byte in b"d\r\n.\r\n" {
        client.send([*byte]).await;
    }
    assert_eq!(client.reply().await, "250 2.0.0 taken");
    let message = &sink.messages()[0];
    assert_eq!(message.sender, "");
    assert_eq!(message.raw, "a\n.\nb\r\n.\rc\n.\r\nd\r\n");
    assert_eq!(
        sink.record(|record| record.violations.clone()),
        ["connection 1: a bare CR or LF in the body"]
    );
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let sink = SmtpSink::builder().ehlo(["SIZE 100"]).start().await;
    let mut client = Client::connect(sink.address()).await;
    client.reply().await;
    assert_eq!(&client.ask("MAIL FROM:<a@x.test>").await[..3], "503");
    assert_eq!(client.ask("EHLO me").await, "250-sink.test|250 SIZE 100");
    assert_eq!(&client.ask("RCPT TO:<b@x.test>").await[..3], "503");
    assert_eq!(&client.ask("DATA").await[..3], "503");
    assert_eq!(&client.ask("MAIL FROM:a@x.test").await[..3], "501");
    assert_eq!(&client.ask("MAIL FROM:<a@x.test> SIZE=101").await[..3], "552");
    assert_eq!(&client.ask("MAIL FROM:<a@x.test> SIZE=100").await[..3], "250");
    assert_eq!(&client.ask("MAIL FROM:<a@x.test>").await[..3], "503");
    assert_eq!(&client.ask("DATA").await[..3], "554");
    assert_eq!(&client.ask("RSET").await[..3], "250");
    assert_eq!(&client.ask("RCPT TO:<b@x.test>").await[..3], "503");
    assert_eq!(&client.ask("STARTTLS").await[..3], "502");
    assert_eq!(&client.ask("VRFY a").await[..3], "502");
    assert_eq!(&client.deliver("b@x.test", &"x".repeat(120)).await[..3], "552");
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn violations_are_put_on_record() {
    let sink = SmtpSink::builder().ehlo(["8BITMIME"]).start().await;
    let mut client = Client::greeted(sink.address()).await;
    client.send("MAIL FROM:<a@x.test> SIZE=3\r\nRCPT TO:<b@x.test>\n").await;
    client.reply().await;
    client.reply().await;
    client.ask("DATA").await;
    client.ask("é\r\n.").await;
    let violations = sink.record(|record| record.violations.clone());
    let expected = [
        "connection 1: sent ahead of the reply to MAIL",
        "connection 1: MAIL with SIZE, but SIZE is not offered",
        "connection 1: a bare LF ends \"RCPT TO:<b@x.test>\"",
        "connection 1: a body beyond ASCII without BODY=8BITMIME",
    ];
    assert_eq!(violations, expected);
}

#[tokio::test]
async fn a_line_without_end_ends_the_connection() {
    let sink = SmtpSink::start().await;
    let mut client = Client::greeted(sink.address()).await;
    client.send("x".repeat(20_000)).await;
    assert_eq!(client.reply().await, "500 5.5.2 line too long");
    assert_eq!(client.rest().await, (vec![], None));
}

#[tokio::test]
async fn credentials_are_decoded_and_a_rule_may_refuse_them() {
    let sink = SmtpSink::builder()
        .offer("AUTH PLAIN LOGIN")
        .rule(|event| match &event.credentials {
            Some(offered) if event.phase == Phase::Auth && offered.password != "right" => {
                Action::reply("535 5.7.8 wrong")
            }
            None if event.phase == Phase::Mail => Action::reply("530 5.7.0 who are you"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut client = Client::greeted(sink.address()).await;
    assert_eq!(&client.ask("AUTH CRAM-MD5").await[..3], "504");
    // user NUL wrong
    assert_eq!(client.ask("AUTH PLAIN AHVzZXIAd3Jvbmc=").await, "535 5.7.8 wrong");
    assert_eq!(client.ask("MAIL FROM:<a@x.test>").await, "530 5.7.0 who are you");
    assert_eq!(client.ask("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(client.ask("dXNlcg==").await, "334 UGFzc3dvcmQ6");
    assert_eq!(client.ask("cmlnaHQ=").await, "235 2.7.0 welcome");
    client.deliver("b@x.test", "hello").await;
    let login = |mechanism: &str, password: &str| Credentials {
        mechanism: mechanism.to_owned(),
        user: "user".to_owned(),
        password: password.to_owned(),
    };
    let tried = sink.record(|record| record.conversations[0].logins.clone());
    assert_eq!(tried, [login("PLAIN", "wrong"), login("LOGIN", "right")]);
    assert_eq!(sink.messages()[0].credentials, Some(login("LOGIN", "right")));
    assert_eq!(sink.url_as("user", "right"), format!("smtp://user:right@{}", sink.address()));
}

#[tokio::test]
async fn starttls_is_offered_before_tls_and_resets_the_session() {
    let certificate = Certificate::new();
    let sink = SmtpSink::builder().ehlo(["PIPELINING"]).tls(&certificate, Tls::Starttls).start().await;
    let mut client = Client::connect(sink.address()).await;
    client.reply().await;
    assert_eq!(client.ask("EHLO me").await, "250-sink.test|250-STARTTLS|250 PIPELINING");
    assert_eq!(client.ask("STARTTLS").await, "220 2.0.0 ready");
    let mut client = client.secure(&certificate).await;
    assert_eq!(&client.ask("MAIL FROM:<a@x.test>").await[..3], "503");
    assert_eq!(client.ask("EHLO me").await, "250-sink.test|250 PIPELINING");
    client.deliver("b@x.test", "secret").await;
    assert!(sink.messages()[0].tls);
    assert!(sink.record(|record| record.conversations[0].tls));
}

#[tokio::test]
async fn implicit_tls_comes_before_the_greeting() {
    let certificate = Certificate::new();
    let sink = SmtpSink::builder().tls(&certificate, Tls::Implicit).start().await;
    assert_eq!(sink.url(), format!("smtps://{}", sink.address()));
    let mut client = Client::connect(sink.address()).await.secure(&certificate).await;
    assert_eq!(client.reply().await, "220 sink.test ESMTP");
    assert!(!client.ask("EHLO me").await.contains("STARTTLS"));
    client.deliver("b@x.test", "secret").await;
    assert_eq!(client.ask("QUIT").await, "221 2.0.0 bye");
    assert_eq!(client.rest().await, (vec![], None));
    assert!(sink.messages()[0].tls);
}

#[tokio::test]
async fn a_stopped_sink_refuses_and_comes_back_with_its_record() {
    let sink = SmtpSink::start().await;
    let mut client = Client::greeted(sink.address()).await;
    client.deliver("b@x.test", "before").await;
    sink.stop().await;
    client.rest().await;
    let refused = TcpStream::connect(sink.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(sink.record(|record| record.open), 0);
    sink.start_again().await;
    Client::greeted(sink.address()).await.deliver("b@x.test", "after").await;
    assert_eq!(sink.messages().len(), 2);
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn connections_and_aborted_transactions_are_counted() {
    let sink = SmtpSink::start().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::greeted(sink.address()).await);
    }
    let mut aborting = clients.pop().unwrap();
    aborting.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n").await;
    for _ in 0..3 {
        aborting.reply().await;
    }
    aborting.send("half a bo").await;
    drop((aborting, clients));
    sink.wait_until(|record| record.open == 0).await;
    assert_eq!(sink.record(|record| record.aborted), 1);
    assert_eq!((sink.connections(), sink.concurrent_peak()), (3, 3));
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn a_wait_ends_with_the_message_it_waits_for() {
    let sink = SmtpSink::start().await;
    let mut client = Client::greeted(sink.address()).await;
    let (messages, _) = tokio::join!(sink.wait_for(2), async {
        client.deliver("b@x.test", "one").await;
        client.deliver("b@x.test", "two").await;
    });
    assert_eq!(messages.len(), 2);
}

#[tokio::test]
#[should_panic(expected = "3 messages did not come within 200ms; seen: SmtpSink(127.0.0.1:")]
async fn a_wait_in_vain_says_what_was_seen() {
    let sink = SmtpSink::builder().patience(Duration::from_millis(200)).start().await;
    sink.wait_for(3).await;
}

#[tokio::test]
async fn tens_of_thousands_of_messages_are_no_burden() {
    let sink = SmtpSink::start().await;
    let deliveries: Vec<_> = (0..8).map(|_| tokio::spawn(deliver_many(sink.address(), 1_000))).collect();
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    assert_eq!(sink.messages().len(), 8_000);
}

async fn deliver_many(address: std::net::SocketAddr, count: usize) {
    let mut client = Client::greeted(address).await;
    for _ in 0..count {
        client.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n").await;
        for _ in 0..3 {
            client.reply().await;
        }
        client.ask("Subject: hello\r\n\r\nhello\r\n.").await;
    }
}

#[tokio::test]
async fn a_dropped_sink_listens_no_more() {
    let sink = SmtpSink::start().await;
    let (address, mut client) = (sink.address(), Client::greeted(sink.address()).await);
    drop(sink);
    client.rest().await;
    assert!(TcpStream::connect(address).await.is_err());
}
