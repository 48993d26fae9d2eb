//! `list`

use clap::Args;
use mailqueue_core::contracts::store::Listed;
use mailqueue_core::domain::search::Search;
use mailqueue_core::{MessageId, Record};
use mailqueue_worker::service::command::Failure;

use super::database::{Database, failed, id};
use super::output::{self, Output, seconds};
use super::record::{Unreadable, View, reason, recipients};

/// Lists messages.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// What to look for: to: from: subject: status: tag: lane: id: before: after: reason: and words of the subject
    #[arg(value_name = "SEARCH")]
    search: Vec<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Go on after this message
    #[arg(long, value_name = "ID", value_parser = id)]
    after: Option<MessageId>,
    #[command(flatten)]
    output: Output,
}

impl List {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let search = read(&self.search.join(" "), database).await?;
        let mut left = self.limit as usize;
        let (mut after, mut rows) = (self.after, Vec::new());
        loop {
            let found = database.outbox.search(&search, after, left.min(500)).await.map_err(failed)?;
            left -= found.records.len();
            match self.output.json {
                // At once, so that a long list needs no memory.
                true => found.records.iter().try_for_each(write)?,
                false => rows.extend(found.records),
            }
            after = found.next;
            if after.is_none() || left == 0 {
                break;
            }
        }
        if !self.output.json {
            output::table(
                ["ID", "ACCEPTED", "STATUS", "LANE", "TO", "SUBJECT", "REASON"],
                rows.iter().map(row),
            )?;
        }
        if let Some(after) = after {
            output::advise(&format!("there may be more: add --after {after}"));
        }
        Ok(())
    }
}

/// Reads a search; a fault of it is one of usage.
pub(super) async fn read(text: &str, database: &Database) -> Result<Search, Failure> {
    let now = database.now().await?;
    Search::parse(text, now).map_err(|error| Failure::Sentence(error.to_string()))
}

fn write(listed: &Listed) -> Result<(), Failure> {
    match (listed, Unreadable::of(listed)) {
        (Ok(record), _) => output::object(&View::short(record)),
        (Err(_), Some(unreadable)) => output::object(&unreadable),
        // Cannot happen: what is not readable has a part that is.
        (Err(_), None) => Ok(()),
    }
}

fn row(listed: &Listed) -> [String; 7] {
    match listed {
        Ok(record) => of_record(record),
        Err((partial, _)) => [
            partial.id.to_string(),
            seconds(partial.created_at),
            partial.status.to_string(),
            partial.lane.to_string(),
            "(unreadable)".to_owned(),
            partial.subject.clone(),
            String::new(),
        ],
    }
}

fn of_record(record: &Record) -> [String; 7] {
    let status = record.delivery.status;
    let reason = reason(record).filter(|_| status != mailqueue_core::Status::Sent);
    [
        record.id.to_string(),
        seconds(record.created_at),
        status.to_string(),
        record.lane.to_string(),
        recipients(record),
        record.summary.subject.clone(),
        reason.map(|reason| reason.to_string()).unwrap_or_default(),
    ]
}
