//! The sink's actions, each seen from the client's side.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use client::Client;
use mailqueue_testing::{Action, Event, Phase, SmtpSink};

#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod client;

/// A sink that does `action` at `phase`, and a client that has said EHLO.
async fn scripted(phase: Phase, action: Action) -> (SmtpSink, Client) {
    let rule = move |event: &Event| if event.phase == phase { action.clone() } else { Action::Default };
    let sink = SmtpSink::builder().rule(rule).start().await;
    let client = Client::greeted(sink.address()).await;
    (sink, client)
}

/// Everything but the reply to the dot.
async fn up_to_the_dot(client: &mut Client) {
    client.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n").await;
    for _ in 0..3 {
        client.reply().await;
    }
    client.send("hello\r\n.\r\n").await;
}

#[tokio::test]
async fn refused_recipients_are_not_in_the_envelope() {
    let sink = SmtpSink::builder()
        .rule(|event| match (event.phase, event.local_part()) {
            (Phase::Rcpt, "later") if event.is_first() => Action::reply("451 4.2.0 later"),
            (Phase::Rcpt, "never") => Action::reply("550-5.1.1 no\r\n550 5.1.1 such user"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut client = Client::greeted(sink.address()).await;
    client.ask("MAIL FROM:<a@x.test>").await;
    assert_eq!(client.ask("RCPT TO:<later@x.test>").await, "451 4.2.0 later");
    assert_eq!(client.ask("RCPT TO:<never@x.test>").await, "550-5.1.1 no|550 5.1.1 such user");
    assert_eq!(client.ask("RCPT TO:<later@x.test>").await, "250 2.1.5 OK");
    client.ask("DATA").await;
    client.ask("hello\r\n.").await;
    assert_eq!(sink.messages()[0].recipients, ["later@x.test"]);
    assert_eq!(sink.record(|record| record.times_seen(Phase::Rcpt, "later@x.test")), 2);
    assert_eq!(sink.record(|record| record.count(Phase::Rcpt)), 3);
}

#[tokio::test]
async fn a_refused_dot_takes_nothing_and_a_bare_250_takes_all() {
    let (sink, mut client) = scripted(Phase::Dot, Action::reply("451 4.3.0 later")).await;
    assert_eq!(client.deliver("b@x.test", "one").await, "451 4.3.0 later");
    assert!(sink.messages().is_empty());
    sink.set_rule(|event| match event.phase {
        Phase::Dot if event.body_contains("two") => Action::Bytes(b"250\r\n".to_vec()),
        _ => Action::Default,
    });
    assert_eq!(client.deliver("b@x.test", "two").await, "250");
    sink.clear_rules();
    assert_eq!(client.deliver("b@x.test", "three").await, "250 2.0.0 taken");
    assert_eq!(sink.messages().len(), 2);
}

#[tokio::test]
async fn raw_bytes_go_out_unchanged() {
    let (_sink, mut client) = scripted(Phase::Noop, Action::Bytes(b"250 \xff\n221 x".to_vec())).await;
    client.send("NOOP\r\nQUIT\r\n").await;
    assert_eq!(client.rest().await, (b"250 \xff\n221 x221 2.0.0 bye\r\n".to_vec(), None));
}

#[tokio::test]
async fn close_is_end_of_file_and_reset_is_a_reset() {
    for (action, sent, end) in [
        (Action::Close, "", None),
        (Action::ReplyThenClose("421 4.3.2 bye".into()), "421 4.3.2 bye\r\n", None),
        (Action::Reset, "", Some(ErrorKind::ConnectionReset)),
        (
            Action::ReplyThenReset("421 4.3.2 bye".into()),
            "421 4.3.2 bye\r\n",
            Some(ErrorKind::ConnectionReset),
        ),
    ] {
        let (sink, mut client) = scripted(Phase::Mail, action.clone()).await;
        // Unread input must not turn end of file into a reset.
        client.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n").await;
        assert_eq!(client.rest().await, (sent.as_bytes().to_vec(), end), "{action:?}");
        drop(client);
        sink.wait_until(|record| record.open == 0).await;
    }
}

#[tokio::test]
async fn the_greeting_may_be_anything() {
    let rule = |event: &Event| match event.phase {
        Phase::Connect if event.open > 1 => Action::ReplyThenClose("421 4.7.0 too many".into()),
        _ => Action::Default,
    };
    let sink = SmtpSink::builder().rule(rule).start().await;
    let _first = Client::greeted(sink.address()).await;
    let mut second = Client::connect(sink.address()).await;
    assert_eq!(second.rest().await, (b"421 4.7.0 too many\r\n".to_vec(), None));
}

#[tokio::test]
async fn an_accepted_message_may_be_answered_by_250_and_a_reset() {
    let (sink, mut client) = scripted(Phase::Dot, Action::AcceptThenReset).await;
    up_to_the_dot(&mut client).await;
    let (bytes, end) = client.rest().await;
    assert_eq!(
        (bytes.as_slice(), end),
        (b"250 2.0.0 taken\r\n".as_slice(), Some(ErrorKind::ConnectionReset))
    );
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn an_accepted_message_may_be_answered_by_nothing() {
    let (sink, mut client) = scripted(Phase::Dot, Action::RecordThenClose).await;
    up_to_the_dot(&mut client).await;
    assert_eq!(client.rest().await, (vec![], None));
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn an_early_refusal_comes_in_the_middle_of_the_body() {
    let refusal = Action::ReplyThenReset("552 5.3.4 too big".into());
    let rule = move |event: &Event| match event.phase {
        Phase::Body if event.size > 1_000 => refusal.clone(),
        _ => Action::Default,
    };
    let sink = SmtpSink::builder().rule(rule).start().await;
    let mut client = Client::greeted(sink.address()).await;
    client.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n").await;
    for _ in 0..3 {
        client.reply().await;
    }
    client.send("x".repeat(1_000)).await;
    client.send("x".repeat(1_000)).await;
    assert_eq!(client.reply().await, "552 5.3.4 too big");
    assert_eq!(client.rest().await, (vec![], Some(ErrorKind::ConnectionReset)));
    sink.wait_until(|record| record.aborted == 1).await;
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn a_hang_says_nothing_but_hears_everything() {
    let (sink, mut client) = scripted(Phase::Mail, Action::Hang).await;
    client.send("MAIL FROM:<a@x.test>\r\n").await;
    sink.wait_until(|record| record.hung == 1).await;
    client.send("NOOP\r\n").await;
    let silence = tokio::time::timeout(Duration::from_millis(200), client.reply()).await;
    assert!(silence.is_err(), "a hanging sink answered");
    drop(client);
    // The client's departure is noticed although nothing is said.
    sink.wait_until(|record| record.open == 0).await;
    assert_eq!(sink.commands(1)[1..], ["MAIL FROM:<a@x.test>", "NOOP"]);
}

#[tokio::test]
async fn a_held_answer_comes_with_the_release_and_its_message_is_on_record_before() {
    let (sink, mut client) = scripted(Phase::Dot, Action::Default.held()).await;
    up_to_the_dot(&mut client).await;
    sink.wait_until(|record| record.held == 1).await;
    assert_eq!(sink.messages().len(), 1);
    sink.release();
    assert_eq!(client.reply().await, "250 2.0.0 taken");
    assert_eq!(sink.record(|record| record.held), 0);
    // A release lets go those that are held, not those that will be.
    up_to_the_dot(&mut client).await;
    sink.wait_until(|record| record.held == 1).await;
    drop(client);
    sink.wait_until(|record| record.held == 0 && record.open == 0).await;
}

#[tokio::test]
async fn delays_and_drips_take_their_time() {
    let (sink, mut client) = scripted(Phase::Noop, Action::Default.delayed(Duration::from_millis(150))).await;
    let begun = Instant::now();
    assert_eq!(client.ask("NOOP").await, "250 2.0.0 OK");
    assert!(begun.elapsed() >= Duration::from_millis(150));

    sink.set_rule(|event| match event.phase {
        Phase::Noop => Action::reply("250 x").dripped(Duration::from_millis(20)),
        _ => Action::Default,
    });
    let begun = Instant::now();
    client.send("NOOP\r\n").await;
    assert_eq!(client.byte().await, b'2');
    assert_eq!(client.reply().await, "50 x");
    assert!(begun.elapsed() >= Duration::from_millis(7 * 20));
}

#[tokio::test]
async fn an_event_tells_where_the_client_stands() {
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let rule = move |event: &Event| {
        events.send(event.clone()).expect("the test listens");
        Action::Default
    };
    let sink = SmtpSink::builder().rule(rule).start().await;
    let mut client = Client::greeted(sink.address()).await;
    client.deliver("b@x.test", ".one").await;
    client.deliver("b@x.test", "two").await;
    let mut all = Vec::new();
    while let Ok(event) = seen.try_recv() {
        all.push(event);
    }
    let phases: Vec<Phase> = all.iter().map(|event| event.phase).collect();
    use Phase::*;
    assert_eq!(phases, [Connect, Ehlo, Mail, Rcpt, Data, Body, Dot, Mail, Rcpt, Data, Body, Dot]);
    let (dot, second) = (&all[6], &all[11]);
    assert_eq!((dot.body.as_ref(), dot.size), (b"one\r\n".as_slice(), 6));
    assert_eq!((dot.address.as_str(), dot.sender.as_str()), ("b@x.test", "a@client.test"));
    assert_eq!((dot.message, dot.times_seen, second.message, second.times_seen), (1, 1, 2, 2));
    assert_eq!(all[5].body, ".one\r\n");
    assert_eq!(all[7].line, "MAIL FROM:<a@client.test>");
}

#[tokio::test]
#[should_panic(expected = "a rule panicked at Mail on connection 1")]
async fn a_rule_that_panics_fails_the_wait() {
    let sink = SmtpSink::builder()
        .rule(|event| {
            assert_ne!(event.phase, Phase::Mail);
            Action::Default
        })
        .start()
        .await;
    let mut client = Client::greeted(sink.address()).await;
    client.send("MAIL FROM:<a@x.test>\r\n").await;
    sink.wait_for(1).await;
}
