//! `drain`

use std::time::{Duration, Instant};

use clap::Args;
use mailqueue_core::contracts::controls::{PauseRequest, WorkerRow, WorkerState};
use mailqueue_core::domain::pause_scope::PauseScope;
use mailqueue_worker::service::command::Failure;

use super::database::{Database, failed};
use super::output;
use super::pause::duration;

/// The pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The time after which every worker knows of a pause, and whoever took a message meanwhile has it on record.
const LEARN_TIME: Duration = Duration::from_secs(3);

/// Pauses everything and waits.
#[derive(Debug, Clone, Args)]
pub(crate) struct Drain {
    /// How long to wait, such as 5m
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
    /// Who asks for it
    #[arg(long, env = "USER", default_value = "an operator", value_name = "NAME")]
    by: String,
}

impl Drain {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let request = PauseRequest::new(PauseScope::Everything, self.by).reason("drain");
        database.controls.pause(&request).await.map_err(failed)?;
        output::advise("nothing more is taken; waiting for what is being sent");
        let started = Instant::now();
        let mut told = None;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let busy = busy(database).await?;
            if busy.is_none() && started.elapsed() >= LEARN_TIME {
                return output::line("nothing is being sent; `resume` goes on");
            }
            if started.elapsed() >= self.timeout {
                let left = busy.unwrap_or_default();
                return Err(Failure::Sentence(format!(
                    "{left} after {}; everything stays paused",
                    output::length(self.timeout)
                )));
            }
            if busy != told {
                if let Some(busy) = &busy {
                    output::advise(busy);
                }
                told = busy;
            }
        }
    }
}

/// What is not at rest yet.
async fn busy(database: &Database) -> Result<Option<String>, Failure> {
    // Workers first: one that is paused takes nothing after that.
    let workers = database.controls.workers().await.map_err(failed)?;
    let works = |row: &&WorkerRow| row.state == WorkerState::Running && !workers.has_lost(row);
    let running = workers.rows.iter().filter(works).count();
    let sending = database.store.backlog(0).await.map_err(failed)?.sending;
    Ok(match (running, sending) {
        (0, 0) => None,
        (0, sending) => Some(format!("{sending} being sent")),
        (running, sending) => {
            Some(format!("{sending} being sent; workers that are not paused yet: {running}"))
        }
    })
}
