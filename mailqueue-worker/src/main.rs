//! Takes what is due and sends it; and the commands of an operator.

mod command;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use command::{Command, Operator};
use mailqueue_worker::service::admin::Admin;
use mailqueue_worker::service::command::{Command as Common, Failure, end};
use mailqueue_worker::service::healthcheck;
use mailqueue_worker::service::logging;
use mailqueue_worker::service::process::Process;
use mailqueue_worker::service::settings::{
    Faults, ServiceSettings, SettingFault, SharedArgs, WorkerArgs, unknown_variables,
};

/// Sends queued mail: takes ids from the queue, claims the messages in the database, sends them by SMTP and writes
/// down what happened.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    worker: WorkerArgs,
    #[command(flatten)]
    shared: SharedArgs,
}

struct Settings {
    concurrency: usize,
    admin_listen: SocketAddr,
    worker_name: Option<String>,
    service: ServiceSettings,
}

impl Args {
    fn resolve(self) -> Result<Settings, Vec<SettingFault>> {
        let mut faults = Faults::default();
        unknown_variables(&mut faults);
        let service = self.shared.resolve(&mut faults);
        let WorkerArgs { concurrency, admin_listen, worker_name } = self.worker;
        let settings = Settings {
            concurrency: faults.value(concurrency),
            admin_listen: faults.address(admin_listen),
            worker_name: worker_name.map(|name| faults.value(name)),
            service,
        };
        faults.into_result()?;
        Ok(settings)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let matches = Args::command().get_matches();
    let mut args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match args.command.take() {
        None => run(args).await,
        Some(Command::Common(Common::Healthcheck)) => check(args).await,
        Some(Command::Operator(command)) => operate(command, args, &matches).await,
    };
    end("mailqueue-worker", result)
}

/// Asks the process that works. Of the settings only the address counts: the others are its own affair.
async fn check(args: Args) -> Result<(), Failure> {
    Ok(healthcheck::ask(args.worker.admin_listen.into_value()?).await?)
}

/// Does what an operator asks for.
async fn operate(command: Operator, args: Args, matches: &ArgMatches) -> Result<(), Failure> {
    let is_quiet = matches.value_source("log") == Some(clap::parser::ValueSource::DefaultValue);
    let settings = args.resolve()?.service;
    // What a command tells stands in its output; only what is wrong is worth a line beside it.
    let filter = if is_quiet { "warn" } else { &settings.log };
    logging::start(settings.log_format, filter).map_err(|error| format!("MAILQUEUE_LOG: {error}"))?;
    command::run(command, &settings, matches).await
}

async fn run(args: Args) -> Result<(), Failure> {
    let Settings { concurrency, admin_listen, worker_name, service } = args.resolve()?;
    let Some(Process { metrics, shutdown, backends }) = Process::start(&service).await? else {
        return Ok(());
    };
    let admin = Admin::bind(admin_listen, Arc::clone(&backends.health), metrics, shutdown.clone()).await;
    let admin = admin.map_err(|error| format!("MAILQUEUE_ADMIN_LISTEN: {admin_listen}: {error}"))?;
    // Not awaited: it answers while the worker drains and ends with the process.
    tokio::spawn(admin.serve());
    let mut worker = backends.worker(&service)?.concurrency(concurrency);
    if let Some(name) = worker_name {
        worker = worker.name(name);
    }
    worker.build().run(shutdown).await;
    Ok(())
}
