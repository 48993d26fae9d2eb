//! Every transport passes the suite.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so and end")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mailqueue_core::conformance::transport::Harness;
use mailqueue_core::contracts::transport::{Gate, Outgoing, Transport};
use mailqueue_core::domain::address::Address;
use mailqueue_core::domain::id::MessageId;
use mailqueue_core::domain::report::{Outcome, RelayFault, Reply, Verdict};
use mailqueue_core::transport::file::FileTransport;
use mailqueue_core::transport::memory::MemoryTransport;
use mailqueue_core::transport::smtp::{SmtpTransport, Timeouts};
use mailqueue_testing::{SmtpSink, SmtpSinkBuilder};
use tempfile::TempDir;

mailqueue_core::transport_conformance!(memory, Memory::open());
mailqueue_core::transport_conformance!(file, Files::open());
mailqueue_core::transport_conformance!(smtp, Relay::open(SmtpSink::builder()));
mailqueue_core::transport_conformance!(
    smtp_without_pipelining,
    Relay::open(SmtpSink::builder().ehlo(["8BITMIME"]))
);

struct Memory(MemoryTransport);

impl Memory {
    async fn open() -> Self {
        Self(MemoryTransport::new())
    }
}

#[async_trait]
impl Harness for Memory {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.0.clone())
    }

    async fn received(&self) -> Vec<Bytes> {
        self.0.sent().into_iter().map(|message| message.raw).collect()
    }
}

struct Files {
    transport: FileTransport,
    _directory: TempDir,
}

impl Files {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { transport: FileTransport::new(directory.path().join("a/b")), _directory: directory }
    }
}

#[async_trait]
impl Harness for Files {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.transport.clone())
    }

    async fn received(&self) -> Vec<Bytes> {
        let Ok(entries) = std::fs::read_dir(self.transport.directory()) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mails = paths.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
        mails.map(|path| std::fs::read(path).unwrap().into()).collect()
    }
}

struct Relay {
    transport: Arc<SmtpTransport>,
    sink: SmtpSink,
}

impl Relay {
    async fn open(sink: SmtpSinkBuilder) -> Self {
        let sink = sink.start().await;
        let transport = SmtpTransport::open(vec![sink.url().parse().unwrap()], Timeouts::default()).unwrap();
        Self { transport: Arc::new(transport), sink }
    }
}

#[async_trait]
impl Harness for Relay {
    fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    async fn received(&self) -> Vec<Bytes> {
        self.sink.messages().into_iter().map(|message| message.body).collect()
    }
}

struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_send_dot(&self) -> bool {
        true
    }
}

fn outgoing(raw: &'static str) -> Outgoing {
    Outgoing {
        id: MessageId::new(time::OffsetDateTime::UNIX_EPOCH),
        sender: "sender@example.com".into(),
        recipients: vec!["ana@example.com".parse().unwrap(), "rui@example.com".parse().unwrap()],
        raw: raw.into(),
        smtputf8: false,
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_the_relays_fault() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("taken");
    std::fs::write(&file, "no directory").unwrap();
    let report = FileTransport::new(file.join("outbox")).send(&outgoing("x\r\n"), &Open).await;
    assert!(!report.dot_sent);
    let Verdict::Fault { fault, retry_after, .. } = report.verdict else { panic!("{report:?}") };
    assert_eq!((fault, retry_after), (RelayFault::Connect, Duration::from_secs(1)));
}

#[tokio::test]
async fn a_message_written_again_replaces_its_own_file_and_leaves_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let transport = FileTransport::new(directory.path());
    let message = outgoing("x\r\n");
    for _ in 0..2 {
        transport.send(&message, &Open).await;
    }
    let names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [format!("{}.eml", message.id).as_str()]);
}

#[tokio::test]
async fn memory_answers_as_its_script_says_and_keeps_what_may_arrive() {
    let transport = MemoryTransport::scripted(|message| {
        let refused = Outcome::Refused(Reply::new(Some(550), "no such user"));
        let accepted = Outcome::Accepted(Reply::new(Some(250), "ok"));
        Verdict::Answered(message.recipients.iter().cloned().zip([refused, accepted]).collect())
    });
    let report = transport.send(&outgoing("x\r\n"), &Open).await;
    assert!(report.dot_sent);
    let sent = transport.wait_for(1).await;
    let reached: Vec<_> = sent[0].recipients.iter().map(Address::as_str).collect();
    assert_eq!(reached, ["rui@example.com"]);

    transport.set_script(|_| Verdict::Fault {
        fault: RelayFault::Throttled,
        reply: Reply::new(Some(421), "later"),
        retry_after: Duration::from_secs(3),
    });
    let report = transport.send(&outgoing("x\r\n"), &Open).await;
    assert!(!report.dot_sent && matches!(report.verdict, Verdict::Fault { .. }), "{report:?}");
    assert_eq!(transport.sent().len(), 1);
}
