//! The commands of the binary besides its work. Each reads the database itself, so that it works while everything else is
//! down.

mod audit;
mod bulk;
mod change;
mod config;
mod database;
mod doctor;
mod drain;
mod export;
mod exported;
mod list;
mod message_change;
mod migrate;
mod output;
mod pause;
mod record;
mod replay;
mod show;
mod status;

use clap::{ArgMatches, Subcommand};
use mailqueue_worker::service::command::{Command as Common, Failure};
use mailqueue_worker::service::settings::ServiceSettings;

use self::database::Database;

/// A command.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Common(Common),
    #[command(flatten)]
    Operator(Operator),
}

/// A command for an operator.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Operator {
    /// List messages, the newest first
    List(list::List),
    /// Show one message with its recipients and attempts
    Show(show::Show),
    /// Have messages that are queued, failed or unknown tried again now
    Retry(change::Retry),
    /// Withdraw messages that are queued
    Cancel(change::Cancel),
    /// Move messages that are queued to another time
    Reschedule(change::Reschedule),
    /// Stop taking mail: all of it, one lane's, or one relay's. What is being sent is finished
    Pause(pause::PauseArgs),
    /// End a pause
    Resume(pause::ResumeArgs),
    /// Show what waits, who works, what is paused, and what was done
    Status(status::Status),
    /// Pause everything and wait until nothing is being sent
    Drain(drain::Drain),
    /// Show, run or write the steps that bring the database's tables up to date
    Migrate(migrate::Migrate),
    /// Write messages with their content, an object a line, the newest first
    Export(export::Export),
    /// Submit messages that were exported again, each once a day at most, however often this is repeated
    Replay(replay::Replay),
    /// Check that every record keeps the rules of a record
    Audit(audit::Audit),
    /// Check the settings, the database, the queue, the relays and the workers
    Doctor(doctor::Doctor),
    /// Show each setting with its value and where that is from
    Config(config::Config),
}

/// Does what the command asks for. `matches` are those of the whole command line.
pub(crate) async fn run(
    command: Operator,
    settings: &ServiceSettings,
    matches: &ArgMatches,
) -> Result<(), Failure> {
    match command {
        Operator::List(command) => command.run(&Database::open(settings).await?).await,
        Operator::Show(command) => command.run(&Database::open(settings).await?).await,
        Operator::Retry(command) => command.run(&Database::open(settings).await?).await,
        Operator::Cancel(command) => command.run(&Database::open(settings).await?).await,
        Operator::Reschedule(command) => command.run(&Database::open(settings).await?).await,
        Operator::Pause(command) => command.run(&Database::open(settings).await?).await,
        Operator::Resume(command) => command.run(&Database::open(settings).await?).await,
        Operator::Status(command) => command.run(&Database::open(settings).await?).await,
        Operator::Drain(command) => command.run(&Database::open(settings).await?).await,
        Operator::Migrate(command) => command.run(settings).await,
        Operator::Export(command) => command.run(&Database::open(settings).await?).await,
        Operator::Replay(command) => command.run(&Database::open(settings).await?).await,
        Operator::Audit(command) => command.run(&Database::open(settings).await?).await,
        Operator::Doctor(command) => command.run(settings).await,
        Operator::Config(command) => command.run(matches),
    }
}
