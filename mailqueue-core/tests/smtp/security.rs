//! TLS and logging in.

use mailqueue_core::Transport;
use mailqueue_core::domain::report::{RelayFault, Report};
use mailqueue_testing::{Action, Certificate, Event, Phase, SmtpSink, Tls};

use crate::support::*;

fn trusting(url: &str, certificate: &Certificate) -> String {
    format!("{url}?ca={}", certificate.ca_pem_file().display())
}

async fn secure(certificate: &Certificate, kind: Tls) -> SmtpSink {
    SmtpSink::builder().tls(certificate, kind).offer("AUTH PLAIN LOGIN").start().await
}

async fn send_to(url: &str) -> Report {
    send(&transport(&[url]), &message()).await
}

#[tokio::test]
async fn mail_goes_by_starttls_and_by_implicit_tls_and_logs_in() {
    for kind in [Tls::Starttls, Tls::Implicit] {
        let certificate = Certificate::new();
        let sink = secure(&certificate, kind).await;
        let transport = transport(&[&trusting(&sink.url_as("ana", "secret"), &certificate)]);
        for message in [message(), message(), large(1_000_000)] {
            let report = send(&transport, &message).await;
            assert_eq!(words(&report), ["accepted 250"]);
            assert_eq!(report.relay, Some(sink.url()));
        }
        let received = sink.messages();
        assert!(received.iter().all(|message| message.tls && message.credentials.is_some()));
        assert_eq!(sink.connections(), 1);
        transport.close().await;
        assert_eq!(sink.commands(1).last().unwrap(), "QUIT");
        assert_clean(&sink);
    }
}

#[tokio::test]
async fn capabilities_are_asked_for_again_after_the_handshake() {
    let certificate = Certificate::new();
    let sink = SmtpSink::builder()
        .tls(&certificate, Tls::Starttls)
        .rule(|event| match (event.phase, event.tls) {
            (Phase::Ehlo, false) => Action::reply("250-sink.test\r\n250-STARTTLS\r\n250 SIZE 10"),
            _ => Action::Default,
        })
        .start()
        .await;
    assert_eq!(words(&send_to(&trusting(&sink.url(), &certificate)).await), ["accepted 250"]);
}

#[tokio::test]
async fn a_wrong_certificate_is_a_fault_and_nothing_goes_in_plain_text() {
    let (good, stranger) = (Certificate::new(), Certificate::new());
    let (other_name, expired) = (Certificate::for_names(&["other.example"]), Certificate::expired());
    for (shown, trusted) in [(&good, &stranger), (&other_name, &other_name), (&expired, &expired)] {
        for (kind, mode) in
            [(Tls::Implicit, "required"), (Tls::Starttls, "required"), (Tls::Starttls, "opportunistic")]
        {
            let sink = secure(shown, kind).await;
            let url = format!("{}&tls={mode}", trusting(&sink.url_as("ana", "secret"), trusted));
            assert_eq!(fault(&send_to(&url).await), RelayFault::Tls, "{kind:?} {mode}");
            let commands = sink.commands(1);
            assert!(!commands.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")));
            assert_eq!(sink.connections(), 1);
        }
    }
}

#[tokio::test]
async fn without_an_offer_of_tls_it_depends_on_what_was_asked_for() {
    let sink = SmtpSink::builder().offer("AUTH PLAIN").start().await;
    let required = format!("{}?tls=required", sink.url_as("ana", "secret"));
    assert_eq!(fault(&send_to(&required).await), RelayFault::Tls);
    let opportunistic = format!("{}?tls=opportunistic", sink.url());
    assert_eq!(words(&send_to(&opportunistic).await), ["accepted 250"]);
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn a_refused_starttls_is_no_reason_to_go_on_without() {
    let certificate = Certificate::new();
    for reply in ["454 4.7.0 TLS not available", "502 5.5.1 what"] {
        let sink = secure(&certificate, Tls::Starttls).await;
        sink.set_rule(at(Phase::StartTls, Action::reply(reply)));
        let url = format!("{}&tls=opportunistic", trusting(&sink.url(), &certificate));
        assert_eq!(fault(&send_to(&url).await), RelayFault::Tls, "{reply}");
        assert_eq!(sink.record(|record| record.count(Phase::Mail)), 0);
    }
}

#[tokio::test]
async fn octets_in_plain_text_after_the_220_are_not_taken_for_answers() {
    let certificate = Certificate::new();
    let sink = secure(&certificate, Tls::Starttls).await;
    sink.set_rule(at(Phase::StartTls, Action::Bytes(b"220 ready\r\n250 injected\r\n".to_vec())));
    let url = trusting(&sink.url_as("ana", "secret"), &certificate);
    assert_eq!(fault(&send_to(&url).await), RelayFault::Protocol);
    assert_eq!(sink.record(|record| record.count(Phase::Mail) + record.count(Phase::Auth)), 0);
}

#[tokio::test]
async fn login_is_used_where_plain_is_not_offered() {
    for (mechanisms, used) in [("AUTH PLAIN LOGIN", "PLAIN"), ("AUTH CRAM-MD5 LOGIN", "LOGIN")] {
        let sink = SmtpSink::builder().offer(mechanisms).start().await;
        assert_eq!(words(&send_to(&sink.url_as("ana", "secret")).await), ["accepted 250"]);
        let login = sink.messages()[0].credentials.clone().unwrap();
        assert_eq!(
            (login.mechanism.as_str(), login.user.as_str(), login.password.as_str()),
            (used, "ana", "secret")
        );
        assert_clean(&sink);
    }
    let sink = SmtpSink::builder().offer("AUTH XOAUTH2").start().await;
    assert_eq!(fault(&send_to(&sink.url_as("ana", "secret")).await), RelayFault::Auth);
}

#[tokio::test]
async fn a_refused_login_is_the_relays_fault() {
    for mechanism in ["AUTH PLAIN", "AUTH LOGIN"] {
        for (reply, expected) in [
            ("535 5.7.8 wrong", RelayFault::Auth),
            ("530 5.7.0 encryption needed", RelayFault::Auth),
            ("454 4.7.0 later", RelayFault::Auth),
            ("421 4.7.0 later", RelayFault::Throttled),
        ] {
            let rule = move |event: &Event| match event.phase {
                Phase::Auth => Action::reply(reply),
                _ => Action::Default,
            };
            let sink = SmtpSink::builder().offer(mechanism).rule(rule).start().await;
            let report = send_to(&sink.url_as("ana", "secret")).await;
            assert_eq!(fault(&report), expected, "{reply}");
            assert_eq!(report.relay, Some(sink.url()), "without credentials");
            assert_eq!(sink.record(|record| record.count(Phase::Mail)), 0);
        }
    }
}

#[tokio::test]
async fn a_file_without_certificates_is_told_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path().display().to_string(), "/nowhere/ca.pem".to_owned()] {
        let url = format!("smtps://user:secret@localhost?ca={path}").parse().unwrap();
        let error = mailqueue_core::transport::smtp::SmtpTransport::open(vec![url], timeouts()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(&path) && !text.contains("secret") && !text.contains("user"), "{text}");
    }
}
