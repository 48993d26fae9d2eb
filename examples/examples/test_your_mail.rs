//! How a service tests the mail it sends: the memory transport keeps what would have gone out, and answers as told.

use std::sync::Arc;

use mailqueue_core::domain::report::{Outcome, Reply, Verdict};
use mailqueue_core::transport::memory::MemoryTransport;
use mailqueue_core::{Draft, Outbox, Status, connect};
use mailqueue_worker::{CancellationToken, Worker};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store =
        connect::store(&format!("sqlite://{}", folder.path().join("mail.db").display()).into()).await?;
    let queue = connect::queue(None)?;
    let transport = Arc::new(MemoryTransport::new());
    let outbox = Outbox::start(Arc::clone(&store), Arc::clone(&queue)).await;
    let worker = Worker::builder(store, queue, Arc::clone(&transport) as _).build();
    let shutdown = CancellationToken::new();
    let working = tokio::spawn(worker.run(shutdown.clone()));

    outbox.submit(Draft::new("shop@example.com", "ana@example.org", "Welcome").text("Hello, Ana.")).await?;
    let sent = transport.wait_for(1).await;
    assert!(String::from_utf8_lossy(&sent[0].raw).contains("Subject: Welcome"));

    // A server that knows nobody.
    transport.set_script(|message| {
        let reply = Reply::new(Some(550), "5.1.1 no such user");
        Verdict::Answered(
            message.recipients.iter().map(|to| (to.clone(), Outcome::Refused(reply.clone()))).collect(),
        )
    });
    let draft = Draft::new("shop@example.com", "nobody@example.org", "Welcome").text("Hello?");
    let id = outbox.submit(draft).await?.id;
    let status = loop {
        let record = outbox.get(id).await?.ok_or("what was accepted can be looked up")?;
        if record.delivery.status.is_final() {
            break record.delivery.status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(status, Status::Failed);
    println!("one message sent, one refused");

    shutdown.cancel();
    working.await?;
    Ok(())
}
