//! `show`

use clap::Args;
use mailqueue_core::domain::address::Mailbox;
use mailqueue_core::domain::attempt::Attempt;
use mailqueue_core::domain::reason::Reason;
use mailqueue_core::domain::report::Reply;
use mailqueue_core::{MessageId, Record, Status};
use mailqueue_worker::service::command::Failure;

use super::database::{Database, failed, id};
use super::output::{self, Output, between, plain, seconds};
use super::record::View;

/// Shows one message.
#[derive(Debug, Clone, Args)]
pub(crate) struct Show {
    /// The message
    #[arg(value_name = "ID", value_parser = id)]
    id: MessageId,
    #[command(flatten)]
    output: Output,
}

impl Show {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let record = database.outbox.get(self.id).await.map_err(failed)?;
        let record = record.ok_or_else(|| Failure::Sentence("there is no such message".to_owned()))?;
        if self.output.json {
            return output::object(&View::full(&record));
        }
        output::table(["", ""], fields(&record, database.now().await?))?;
        let recipients = record.delivery.recipients.iter().map(|recipient| {
            let status = format!("{:?}", recipient.status).to_lowercase();
            [recipient.address.to_string(), status, reply(recipient.reply.as_ref())]
        });
        output::line("")?;
        output::table(["RECIPIENT", "STATUS", "LAST ANSWER"], recipients)?;
        if record.delivery.attempts.is_empty() {
            return Ok(());
        }
        output::line("")?;
        let header = ["ATTEMPT", "AT", "TOOK", "OUTCOME", "REASON", "RELAY", "WORKER", "ANSWER"];
        output::table(header, record.delivery.attempts.iter().map(attempt))
    }
}

fn fields(record: &Record, now: time::OffsetDateTime) -> Vec<[String; 2]> {
    let people = &record.summary.people;
    let list =
        |mailboxes: &[Mailbox]| mailboxes.iter().map(Mailbox::to_string).collect::<Vec<_>>().join(", ");
    let due = match record.delivery.status {
        Status::Queued if record.due_at > now => {
            format!("{} (in {})", seconds(record.due_at), between(now, record.due_at))
        }
        _ => seconds(record.due_at),
    };
    let tags: Vec<String> =
        record.summary.tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect();
    let fields = [
        ("Id", record.id.to_string()),
        ("Tenant", record.tenant.clone()),
        ("Status", record.delivery.status.to_string()),
        ("Lane", record.lane.to_string()),
        ("Accepted", seconds(record.created_at)),
        ("Scheduled", record.scheduled_at.map(seconds).unwrap_or_default()),
        ("Due", due),
        ("Finished", record.finished_at.map(seconds).unwrap_or_default()),
        ("From", people.from.to_string()),
        ("To", list(&people.to)),
        ("Cc", list(&people.cc)),
        ("Bcc", list(&people.bcc)),
        ("Subject", record.summary.subject.clone()),
        ("Tags", tags.join(", ")),
        ("Files", record.summary.attachments.len().to_string()),
    ];
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty() && value != "0");
    given.map(|(name, value)| [name.to_owned(), value]).collect()
}

fn attempt(attempt: &Attempt) -> [String; 8] {
    let times = if attempt.times > 1 { format!(" ×{}", attempt.times) } else { String::new() };
    [
        format!("{}{times}", attempt.attempt),
        seconds(attempt.started_at),
        format!("{} ms", attempt.duration_ms),
        attempt.outcome.as_str().to_owned(),
        Reason::of_attempt(attempt).map(|reason| reason.to_string()).unwrap_or_default(),
        attempt.relay.clone().unwrap_or_default(),
        attempt.worker.clone(),
        reply(attempt.reply.as_ref()),
    ]
}

fn reply(reply: Option<&Reply>) -> String {
    let Some(reply) = reply else { return String::new() };
    let code = reply.code.map(|code| format!("{code} ")).unwrap_or_default();
    format!("{code}{}", plain(&reply.text))
}
