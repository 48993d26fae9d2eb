//! A change of many messages.

use clap::Args;
use futures_util::{StreamExt, stream};
use mailqueue_core::MessageId;
use mailqueue_core::domain::search::Search;
use mailqueue_core::outbox::ChangeError;
use mailqueue_worker::service::command::Failure;
use serde::Serialize;

use super::database::{Database, failed, id};
use super::list::read;
use super::message_change::Change;
use super::output::{self, Output, Progress};

/// The messages of one page.
const PAGE: usize = 500;

/// How many changes are asked for at once.
const AT_ONCE: usize = 8;

/// The messages to be changed.
#[derive(Debug, Clone, Args)]
pub(super) struct Bulk {
    /// The messages
    #[arg(value_name = "ID", value_parser = id, required_unless_present = "search", conflicts_with = "search")]
    ids: Vec<MessageId>,
    /// All messages that a search finds, such as "status:failed reason:dns"
    #[arg(long = "where", id = "search", value_name = "SEARCH")]
    search: Option<String>,
    /// Only say which would be changed
    #[arg(long)]
    dry_run: bool,
    /// Change all messages, where the search finds all
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

/// What became of the messages.
#[derive(Debug, Default, Serialize)]
struct Sum {
    changed: u64,
    /// Those whose status does not allow it, and those that are not there.
    left: u64,
}

/// The result of one change, for programs.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Bulk {
    pub(super) async fn run(self, database: &Database, change: &Change) -> Result<(), Failure> {
        let Some(text) = &self.search else {
            let sum = self.change_all(database, change, &self.ids).await?;
            return self.end(&sum, sum.left > 0);
        };
        let search = read(text, database).await?;
        if search.is_empty() && !self.yes {
            return Err(Failure::Usage(
                "this search finds all messages: add --yes if that is meant".to_owned(),
            ));
        }
        tokio::select! {
            sum = self.change_found(database, change, &search) => self.end(&sum?, false),
            _ = tokio::signal::ctrl_c() => Err(Failure::Partly(
                "stopped half-way; the same command goes on with those that are left".to_owned(),
            )),
        }
    }

    /// Changes what a search finds, page by page, as it is found: a message that is added meanwhile is newer than all.
    async fn change_found(
        &self,
        database: &Database,
        change: &Change,
        search: &Search,
    ) -> Result<Sum, Failure> {
        let (mut sum, mut after, mut progress) = (Sum::default(), None, Progress::start());
        loop {
            let found = database.outbox.search(search, after, PAGE).await.map_err(failed)?;
            let readable = found.records.iter().filter_map(|listed| listed.as_ref().ok());
            let fit: Vec<MessageId> = readable
                .filter(|record| change.allows(record.delivery.status))
                .map(|record| record.id)
                .collect();
            let page = self.change_all(database, change, &fit).await?;
            sum.changed += page.changed;
            sum.left += page.left + (found.records.len() - fit.len()) as u64;
            progress.tell(|| format!("{} changed so far", sum.changed));
            match found.next {
                Some(next) => after = Some(next),
                None => return Ok(sum),
            }
        }
    }

    async fn change_all(
        &self,
        database: &Database,
        change: &Change,
        ids: &[MessageId],
    ) -> Result<Sum, Failure> {
        let mut sum = Sum::default();
        let changes = stream::iter(ids.iter().copied()).map(|id| self.change_one(database, change, id));
        let mut changes = changes.buffered(AT_ONCE);
        while let Some(line) = changes.next().await {
            let line = line?;
            match line.error {
                None => sum.changed += 1,
                Some(_) => sum.left += 1,
            }
            self.tell(&line)?;
        }
        Ok(sum)
    }

    async fn change_one(&self, database: &Database, change: &Change, id: MessageId) -> Result<Line, Failure> {
        let changed = match self.dry_run {
            false => change.make(&database.outbox, id).await,
            true => match database.outbox.get(id).await.map_err(failed)? {
                Some(record) if change.allows(record.delivery.status) => Ok(record.delivery.status),
                Some(record) => Err(ChangeError::NotAllowed(record.delivery.status)),
                None => Err(ChangeError::NotFound),
            },
        };
        let id = id.to_string();
        match changed {
            Ok(status) => Ok(Line { id, status: Some(status.as_str()), error: None }),
            Err(ChangeError::Store(error)) => Err(failed(error)),
            Err(error) => Ok(Line { id, status: None, error: Some(error.to_string()) }),
        }
    }

    fn tell(&self, line: &Line) -> Result<(), Failure> {
        match (&line.error, line.status) {
            _ if self.output.json => output::object(line),
            (Some(error), _) => {
                output::advise(&format!("{}: {error}", line.id));
                Ok(())
            }
            // A search can find thousands: the sum says it.
            (None, Some(status)) if self.search.is_none() => output::line(&format!("{} {status}", line.id)),
            (None, _) => Ok(()),
        }
    }

    fn end(&self, sum: &Sum, is_partial: bool) -> Result<(), Failure> {
        if self.search.is_some() && !self.output.json {
            let would = if self.dry_run { "would be changed" } else { "changed" };
            output::line(&format!("{} {would}, {} left as they are", sum.changed, sum.left))?;
        }
        match sum.changed {
            _ if !is_partial => Ok(()),
            0 => Err(Failure::Sentence("nothing was changed".to_owned())),
            _ => Err(Failure::Partly(format!("{} of {} were changed", sum.changed, sum.changed + sum.left))),
        }
    }
}
