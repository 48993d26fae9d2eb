//! A service that embeds mailqueue: it hands a message over, a worker in the same process sends it.
//!
//! Needs nothing: SQLite, a queue in this process, and mail written to files.

use std::sync::Arc;

use mailqueue_core::{Draft, Outbox, connect};
use mailqueue_worker::{CancellationToken, Worker};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let database = format!("sqlite://{}", folder.path().join("mail.db").display());
    let files = format!("file://{}", folder.path().join("outbox").display());

    let store = connect::store(&database.into()).await?;
    let queue = connect::queue(None)?;
    let transport = connect::transport(&files.into())?;
    let outbox = Outbox::start(Arc::clone(&store), Arc::clone(&queue)).await;
    let shutdown = CancellationToken::new();
    let working = tokio::spawn(Worker::builder(store, queue, transport).build().run(shutdown.clone()));

    let draft = Draft::new("Shop <shop@example.com>", "ana@example.org", "Your order")
        .text("It is on its way.")
        .idempotency_key("order-42");
    let receipt = outbox.submit(draft.clone()).await?;
    assert!(outbox.submit(draft).await?.replayed, "the same key is the same message");

    let record = loop {
        let record = outbox.get(receipt.id).await?.ok_or("what was accepted can be looked up")?;
        if record.delivery.status.is_final() {
            break record;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    println!("{} is {}", receipt.id, record.delivery.status);
    println!("{}", std::fs::read_to_string(folder.path().join(format!("outbox/{}.eml", receipt.id)))?);

    shutdown.cancel();
    working.await?;
    Ok(())
}
