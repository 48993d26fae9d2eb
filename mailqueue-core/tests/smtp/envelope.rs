//! Answers to MAIL, RCPT and DATA.

use mailqueue_core::contracts::transport::{Outgoing, Transport};
use mailqueue_core::domain::report::{RelayFault, Verdict};
use mailqueue_testing::{Action, Event, Phase, SmtpSink};

use crate::support::*;

const THREE: [&str; 3] = ["ana@example.com", "rui@example.com", "eva@example.com"];

fn by_local_part(event: &Event) -> Action {
    match (event.phase, event.local_part()) {
        (Phase::Rcpt, "rui") => Action::reply("550 5.1.1 no such user"),
        (Phase::Rcpt, "eva") => Action::reply("450 4.7.1 greylisted"),
        _ => Action::Default,
    }
}

#[tokio::test]
async fn each_recipient_has_its_own_answer() {
    for sink in [sink_with(by_local_part).await, plodding(by_local_part).await] {
        let transport = transport(&[&sink.url()]);
        let report = send(&transport, &to(&THREE)).await;
        assert_eq!(words(&report), ["accepted 250", "refused 550", "deferred 450"]);
        assert!(report.dot_sent);
        assert_eq!(report.relay, Some(sink.url()));
        assert_eq!(sink.messages()[0].recipients, ["ana@example.com"]);
        assert_clean(&sink);
    }
}

#[tokio::test]
async fn with_no_recipient_taken_nothing_is_sent_and_the_connection_is_kept() {
    for (sink, pipelining) in [(sink_with(by_local_part).await, true), (plodding(by_local_part).await, false)]
    {
        let transport = transport(&[&sink.url()]);
        let gate = Counting::saying(true);
        let report = transport.send(&to(&THREE[1..]), &gate).await;
        assert_eq!(words(&report), ["refused 550", "deferred 450"]);
        assert!(!report.dot_sent && gate.asked() == 0);
        assert_eq!(sink.commands(1).contains(&"DATA".to_owned()), pipelining);
        assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
        assert!(sink.commands(1).contains(&"RSET".to_owned()), "{:?}", sink.commands(1));
        assert_eq!((sink.connections(), sink.messages().len()), (1, 1));
        assert_clean(&sink);
    }
}

#[tokio::test]
async fn a_lone_dot_ends_what_a_server_wants_although_it_took_no_recipient() {
    let rule = |event: &Event| match event.phase {
        Phase::Data => Action::reply("354 go ahead all the same"),
        Phase::Dot => Action::reply("554 5.5.1 no recipients"),
        _ => by_local_part(event),
    };
    let sink = sink_with(rule).await;
    let transport = transport(&[&sink.url()]);
    let report = send(&transport, &to(&THREE[1..])).await;
    assert_eq!(words(&report), ["refused 550", "deferred 450"]);
    assert!(!report.dot_sent);
    sink.wait_until(|record| record.count(Phase::Dot) == 1).await;
    assert!(sink.transcript(1).contains(&"(a body of 0 bytes and the dot)".to_owned()), "{sink:?}");
}

#[tokio::test]
async fn a_refused_sender_is_an_answer_for_every_recipient() {
    for (reply, word) in [
        ("451 4.3.0 try later", "deferred 451"),
        ("550 5.7.1 sender refused", "refused 550"),
        ("503 5.5.1 what", "refused 503"),
    ] {
        for sink in [
            sink_with(at(Phase::Mail, Action::reply(reply))).await,
            plodding(at(Phase::Mail, Action::reply(reply))).await,
        ] {
            let transport = transport(&[&sink.url()]);
            let report = send(&transport, &to(&THREE)).await;
            assert_eq!(words(&report), [word; 3]);
            assert!(!report.dot_sent);
            sink.clear_rules();
            assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
            assert_eq!(sink.connections(), 1, "a refusal is no reason to close");
            assert_clean(&sink);
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_the_sender_and_wants_the_message_gets_nothing() {
    let rule = |event: &Event| match event.phase {
        Phase::Mail => Action::reply("550 5.7.1 no"),
        Phase::Rcpt => Action::reply("250 2.1.5 yes"),
        Phase::Data => Action::reply("354 go"),
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    let report = send(&transport(&[&sink.url()]), &to(&THREE)).await;
    assert_eq!(words(&report), ["refused 550"; 3]);
    sink.wait_until(|record| record.open == 0).await;
    assert_eq!(sink.record(|record| record.count(Phase::Dot)), 0);
}

#[tokio::test]
async fn a_refused_data_is_an_answer_for_the_recipients_that_were_taken() {
    for (reply, word) in [("452 4.3.1 disk full", "deferred 452"), ("554 5.7.1 no", "refused 554")] {
        let rule = move |event: &Event| match event.phase {
            Phase::Data => Action::reply(reply),
            _ => by_local_part(event),
        };
        for sink in [sink_with(rule).await, plodding(rule).await] {
            let transport = transport(&[&sink.url()]);
            let report = send(&transport, &to(&THREE)).await;
            assert_eq!(words(&report), [word, "refused 550", "deferred 450"]);
            sink.clear_rules();
            assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
            assert_eq!(sink.connections(), 1);
            assert_clean(&sink);
        }
    }
}

#[tokio::test]
async fn a_421_before_the_message_is_the_relays_fault() {
    let reply = Action::ReplyThenClose("421 4.3.2 shutting down".into());
    for phase in [Phase::Connect, Phase::Ehlo, Phase::Mail, Phase::Rcpt, Phase::Data] {
        for sink in [sink_with(at(phase, reply.clone())).await, plodding(at(phase, reply.clone())).await] {
            let transport = transport(&[&sink.url()]);
            let report = send(&transport, &to(&THREE)).await;
            assert_eq!(fault(&report), RelayFault::Throttled, "{phase:?}");
            sink.clear_rules();
            transport.ready().await;
            assert_eq!(words(&send(&transport, &message()).await), ["accepted 250"]);
            assert_eq!(sink.messages().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_421_after_a_refused_recipient_does_not_hide_the_refusal() {
    let rule = |event: &Event| match (event.phase, event.local_part()) {
        (Phase::Rcpt, "eva") => Action::ReplyThenClose("421 4.7.0 too many errors".into()),
        _ => by_local_part(event),
    };
    let sink = sink_with(rule).await;
    let report = send(&transport(&[&sink.url()]), &to(&THREE)).await;
    assert_eq!(words(&report), ["deferred 421", "refused 550", "deferred 421"]);
    assert!(!report.dot_sent);
}

#[tokio::test]
async fn some_refusals_of_the_sender_are_about_the_relay() {
    for (reply, expected) in [
        ("530 5.7.0 authentication required", RelayFault::Auth),
        ("454 Throttling failure", RelayFault::Throttled),
        ("450 4.3.2 not now", RelayFault::Throttled),
    ] {
        let sink = sink_with(at(Phase::Mail, Action::reply(reply))).await;
        assert_eq!(fault(&send(&transport(&[&sink.url()]), &message()).await), expected, "{reply}");
    }
}

#[tokio::test]
async fn an_extension_that_is_not_offered_is_not_used() {
    let large = large(2000);
    let eight_bit = Outgoing { raw: "Subject: olá\r\n\r\nx\r\n".into(), ..message() };
    let utf8 = Outgoing { smtputf8: true, ..to(&["anã@example.com"]) };
    for (capabilities, message, expected) in [
        (vec!["SIZE 1000"], &large, "5.3.4"),
        (vec!["PIPELINING", "SMTPUTF8"], &eight_bit, "5.6.3"),
        (vec!["PIPELINING", "8BITMIME"], &utf8, "5.6.7"),
    ] {
        let sink = SmtpSink::builder().ehlo(capabilities).start().await;
        let transport = transport(&[&sink.url()]);
        let report = send(&transport, message).await;
        assert_eq!(words(&report), ["refused -"]);
        assert!(format!("{report:?}").contains(expected), "{report:?}");
        assert_eq!(sink.record(|record| record.count(Phase::Mail)), 0);
        assert_eq!(words(&send(&transport, &crate::support::message()).await), ["accepted 250"]);
        assert_eq!(sink.connections(), 1);
        assert_clean(&sink);
    }
    let sink = SmtpSink::start().await;
    let transport = transport(&[&sink.url()]);
    for message in [&large, &eight_bit, &utf8] {
        assert_eq!(words(&send(&transport, message).await), ["accepted 250"]);
    }
    let [large, eight_bit, utf8] = sink.messages().try_into().unwrap();
    assert_eq!((large.size, large.body_type, large.smtputf8), (Some(large.body.len()), None, false));
    assert_eq!((eight_bit.body_type.as_deref(), eight_bit.smtputf8), (Some("8BITMIME"), false));
    assert!(utf8.smtputf8);
    assert_eq!(utf8.recipients, ["anã@example.com"]);
    assert_clean(&sink);
}

#[tokio::test]
async fn a_server_of_old_is_greeted_with_helo() {
    let rule = |event: &Event| match event.phase {
        Phase::Ehlo if event.line.starts_with("EHLO") => Action::reply("502 5.5.2 what"),
        _ => Action::Default,
    };
    let sink = sink_with(rule).await;
    assert_eq!(words(&send(&transport(&[&sink.url()]), &message()).await), ["accepted 250"]);
    assert_eq!(sink.commands(1)[1], "HELO [127.0.0.1]");
    assert_clean(&sink);
}

#[tokio::test]
async fn pipelining_can_be_turned_off_and_the_name_be_chosen() {
    let sink = SmtpSink::start().await;
    let url = format!("{}?pipelining=off&hello=mail.example.com", sink.url());
    assert_eq!(words(&send(&transport(&[&url]), &to(&THREE)).await), ["accepted 250"; 3]);
    assert_eq!(sink.commands(1)[0], "EHLO mail.example.com");
    assert_clean(&sink);
}

#[tokio::test]
async fn bare_line_ends_are_not_sent() {
    let sink = SmtpSink::start().await;
    let transport = transport(&[&sink.url()]);
    for raw in ["a\nb\r\n", "a\rb\r\n", "a\n.\r\nMAIL FROM:<x@y>\r\n", "a\r\n\n.\n"] {
        let report = send(&transport, &Outgoing { raw: raw.into(), ..message() }).await;
        assert_eq!(words(&report), ["refused -"]);
    }
    let report = send(&transport, &Outgoing { sender: "a@b\r\nRSET".into(), ..message() }).await;
    assert_eq!(words(&report), ["refused -"]);
    assert_eq!(sink.record(|record| record.count(Phase::Mail)), 0);
}

#[tokio::test]
async fn a_refusal_of_the_greeting_or_of_ehlo_is_the_relays_fault() {
    for (phase, reply) in [
        (Phase::Connect, "554 5.7.1 go away"),
        (Phase::Connect, "450 4.3.2 busy"),
        (Phase::Ehlo, "550 5.7.1 I do not like your name"),
        (Phase::Ehlo, "451 4.3.0 later"),
        (Phase::Connect, "450 4.7.1 too often"),
    ] {
        let sink = sink_with(at(phase, Action::reply(reply))).await;
        let report = send(&transport(&[&sink.url()]), &message()).await;
        let throttled = reply.contains("4.7.1 too");
        let expected = if throttled { RelayFault::Throttled } else { RelayFault::Greeting };
        assert_eq!(fault(&report), expected, "{reply}");
        let Verdict::Fault { reply: kept, .. } = report.verdict else { unreachable!() };
        assert_eq!(kept.code.unwrap().to_string(), reply[..3]);
    }
}
