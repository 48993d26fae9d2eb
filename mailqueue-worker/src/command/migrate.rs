//! `migrate`

use clap::{Args, Subcommand};
use mailqueue_core::connect::{self, StoreOptions};
use mailqueue_core::store::migration_step::{CREATE_TABLE, MigrationStep};
use mailqueue_worker::service::command::Failure;
use mailqueue_worker::service::settings::ServiceSettings;

use super::output;

/// Works on the tables.
#[derive(Debug, Clone, Args)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    action: Option<Action>,
}

/// What is done with the tables.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Show which steps have run; exit status 1 when some have not
    Status,
    /// Run the steps that are missing
    Up,
    /// Write the SQL of the steps that are missing, for whoever runs it by hand
    Sql,
}

impl Migrate {
    pub(super) async fn run(self, settings: &ServiceSettings) -> Result<(), Failure> {
        match self.action.unwrap_or(Action::Status) {
            Action::Status => status(&connect::migrations(&settings.database).await?),
            Action::Up => up(settings).await,
            Action::Sql => sql(&connect::migrations(&settings.database).await?),
        }
    }
}

fn status(steps: &[MigrationStep]) -> Result<(), Failure> {
    let state = |step: &MigrationStep| if step.is_applied { "has run" } else { "missing" };
    output::table(
        ["STEP", "STATE"],
        steps.iter().map(|step| [step.name.to_owned(), state(step).to_owned()]),
    )?;
    match steps.iter().filter(|step| !step.is_applied).count() {
        0 => Ok(()),
        missing => Err(Failure::Sentence(format!("{missing} steps are missing; `migrate up` runs them"))),
    }
}

async fn up(settings: &ServiceSettings) -> Result<(), Failure> {
    let missing = connect::migrations(&settings.database).await?;
    let missing = missing.iter().filter(|step| !step.is_applied).count();
    let options = StoreOptions { migrate: true, allow_unsafe: true, beside: false };
    connect::database(&settings.database, options).await?;
    output::line(&format!("{missing} steps have been run"))
}

fn sql(steps: &[MigrationStep]) -> Result<(), Failure> {
    let missing: Vec<String> =
        steps.iter().filter(|step| !step.is_applied).map(MigrationStep::script).collect();
    if missing.is_empty() {
        output::advise("nothing is missing");
        return Ok(());
    }
    output::write(&format!("{CREATE_TABLE};\n\n{}", missing.join("\n")))
}
