//! Resend's own Rust client, unmodified, talking to mailqueue.
//!
//! The client reads `RESEND_API_KEY` and `RESEND_BASE_URL`:
//!
//! ```sh
//! RESEND_API_KEY=mq_… RESEND_BASE_URL=http://127.0.0.1:8080/ cargo run
//! ```

use std::time::Duration;

use resend_rs::idempotent::IdempotentTrait;
use resend_rs::list_opts::ListOptions;
use resend_rs::types::{
    BatchValidation, CreateAttachment, CreateEmailBaseOptions, EmailEvent, ErrorKind, Tag, UpdateEmailOptions,
};
use resend_rs::{Error, Resend};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const SHOP: &str = "Shop <shop@example.com>";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    // Only because this build leaves the choice open, and needed only where the base URL is https://.
    rustls::crypto::ring::default_provider().install_default().expect("nothing was installed before");
    let resend = Resend::default();
    send_and_look_up(&resend).await?;
    repeat_harmlessly(&resend).await?;
    send_several(&resend).await?;
    schedule_move_and_cancel(&resend).await?;
    hear_what_is_wrong(&resend).await?;
    println!("resend-rs: all of it works");
    Ok(())
}

fn order(number: &str) -> CreateEmailBaseOptions {
    CreateEmailBaseOptions::new(SHOP, ["ana@example.org"], format!("Your order {number}"))
        .with_text("It is on its way.")
}

async fn send_and_look_up(resend: &Resend) -> Outcome {
    let invoice = CreateAttachment::from_content(b"Total: 7.00\n".to_vec()).with_filename("invoice.txt");
    let email = order("1")
        .with_html("<p>It is on its way.</p>")
        .with_cc("bo@example.org")
        .with_bcc("archive@example.com")
        .with_reply("help@example.com")
        .with_header("X-Order", "1")
        .with_tag(Tag::new("kind", "order"))
        .with_attachment(invoice);
    let id = resend.emails.send(email).await?.id;

    let kept = resend.emails.get(&id).await?;
    assert_eq!((kept.id, kept.from.as_str(), kept.subject.as_str()), (id.clone(), SHOP, "Your order 1"));
    assert_eq!(kept.to, ["ana@example.org"]);
    assert_eq!((kept.cc, kept.bcc), (vec!["bo@example.org".into()], vec!["archive@example.com".into()]));
    assert_eq!(kept.reply_to, Some(vec!["help@example.com".into()]));
    assert_eq!(kept.html.as_deref(), Some("<p>It is on its way.</p>"));

    let files = resend.emails.list_attachments(&id, ListOptions::default()).await?;
    assert_eq!((files.len(), files[0].filename.as_deref(), files[0].size), (1, Some("invoice.txt"), 12));
    let file = resend.emails.get_attachment(&id, &files[0].id).await?;
    assert!(file.download_url.ends_with("/content"), "{}", file.download_url);

    let newest = resend.emails.list(ListOptions::default().with_limit(1)).await?;
    assert_eq!(newest.data.iter().map(|email| &email.id).collect::<Vec<_>>(), [&id]);
    until_sent(resend, &id).await
}

/// An answer says that a message is kept; that it went out is told by `last_event`.
async fn until_sent(resend: &Resend, id: &str) -> Outcome {
    for _ in 0..100 {
        match resend.emails.get(id).await?.last_event {
            EmailEvent::Sent => return Ok(()),
            EmailEvent::Queued => tokio::time::sleep(Duration::from_millis(100)).await,
            other => return Err(format!("{id} is {other:?}").into()),
        }
    }
    Err(format!("{id} has not been sent within 10 seconds").into())
}

async fn repeat_harmlessly(resend: &Resend) -> Outcome {
    let key = unique("order");
    let first = resend.emails.send(order("2").with_idempotency_key(&key)).await?.id;
    let again = resend.emails.send(order("2").with_idempotency_key(&key)).await?.id;
    assert_eq!(first, again);
    let other = resend.emails.send(order("3").with_idempotency_key(&key)).await;
    assert_eq!(refusal(other)?, (409, ErrorKind::InvalidIdempotentRequest));
    Ok(())
}

async fn send_several(resend: &Resend) -> Outcome {
    let key = unique("batch");
    let first = resend.batch.send(vec![order("4"), order("5")].with_idempotency_key(&key)).await?;
    let again = resend.batch.send(vec![order("4"), order("5")].with_idempotency_key(&key)).await?;
    assert_eq!(first.len(), 2);
    assert!(first.iter().zip(&again).all(|(first, again)| first.id == again.id));

    let mixed = vec![order("6"), CreateEmailBaseOptions::new(SHOP, ["nobody"], "no address, no text")];
    let told = resend.batch.send_with_batch_validation(mixed, BatchValidation::Permissive).await?;
    assert_eq!((told.data.len(), told.errors.len(), told.errors[0].index), (1, 1, 1));
    Ok(())
}

async fn schedule_move_and_cancel(resend: &Resend) -> Outcome {
    let id = resend.emails.send(order("7").with_scheduled_at("in 1 hour")).await?.id;
    let kept = resend.emails.get(&id).await?;
    assert_eq!(kept.last_event, EmailEvent::Scheduled);
    let planned = kept.scheduled_at.ok_or("no time is told")?;

    resend.emails.update(&id, UpdateEmailOptions::new().with_scheduled_at("in 2 days")).await?;
    let moved = resend.emails.get(&id).await?.scheduled_at.ok_or("no time is told")?;
    // Times of one form: as text they stand in the order of time.
    assert!(moved > planned, "{moved} is not after {planned}");

    resend.emails.cancel(&id).await?;
    assert_eq!(resend.emails.get(&id).await?.last_event, EmailEvent::Canceled);
    let late = resend.emails.update(&id, UpdateEmailOptions::new().with_scheduled_at("in 1 hour")).await;
    assert_eq!(refusal(late)?.0, 409);
    Ok(())
}

async fn hear_what_is_wrong(resend: &Resend) -> Outcome {
    let nobody = CreateEmailBaseOptions::new(SHOP, ["nobody"], "no address").with_text("x");
    assert_eq!(refusal(resend.emails.send(nobody).await)?, (422, ErrorKind::ValidationError));
    let unknown = resend.emails.get("019353a1-0000-7000-8000-000000000000").await;
    assert_eq!(refusal(unknown)?, (404, ErrorKind::NotFound));
    let stranger = Resend::new("mq_wrong").emails.send(order("8")).await;
    // `invalid_api_key`, as Resend documents it; this client knows no kind of that name.
    assert_eq!(refusal(stranger)?, (403, ErrorKind::Unrecognized));
    Ok(())
}

/// The status and kind of the client's own error type; anything else is handed on.
fn refusal<T>(result: resend_rs::Result<T>) -> Outcome<(u16, ErrorKind)> {
    match result {
        Ok(_) => Err("it was not refused".into()),
        Err(Error::Resend(error)) => Ok((error.status_code, error.kind())),
        Err(other) => Err(other.into()),
    }
}

/// A key that no earlier run has used.
fn unique(what: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{what}-{}", now.as_nanos())
}
