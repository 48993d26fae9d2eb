//! `retry`, `cancel` and `reschedule`

use clap::Args;
use mailqueue_core::domain::schedule::Schedule;
use mailqueue_worker::service::command::Failure;

use super::bulk::Bulk;
use super::database::Database;
use super::message_change::Change;

/// Tries messages again.
#[derive(Debug, Clone, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    bulk: Bulk,
}

/// Withdraws messages.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    bulk: Bulk,
}

/// Moves messages to another time.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reschedule {
    /// The time: 2030-01-31T08:00:00Z, or English such as "in 2 hours" or "tomorrow at 9am Europe/Lisbon"
    #[arg(long, value_name = "TIME", value_parser = schedule)]
    at: Schedule,
    #[command(flatten)]
    bulk: Bulk,
}

fn schedule(text: &str) -> Result<Schedule, String> {
    text.parse().map_err(|error: mailqueue_core::domain::schedule::ScheduleError| error.to_string())
}

impl Retry {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        self.bulk.run(database, &Change::Retry).await
    }
}

impl Cancel {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        self.bulk.run(database, &Change::Cancel).await
    }
}

impl Reschedule {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        self.bulk.run(database, &Change::Reschedule(self.at)).await
    }
}
