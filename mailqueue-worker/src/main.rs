//! Takes what is due and sends it.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use mailqueue_worker::service::admin::Admin;
use mailqueue_worker::service::command::{self, Command, Failure};
use mailqueue_worker::service::healthcheck;
use mailqueue_worker::service::process::Process;
use mailqueue_worker::service::settings::{
    Faults, ServiceSettings, SettingFault, SharedArgs, unknown_variables,
};

/// Sends queued mail: takes ids from the queue, claims the messages in the database, sends them by SMTP and writes
/// down what happened.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many messages are sent at once
    #[arg(long, env = "MAILQUEUE_CONCURRENCY", default_value = "32", value_name = "N")]
    concurrency: String,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "MAILQUEUE_ADMIN_LISTEN", default_value = "127.0.0.1:9091", value_name = "ADDRESS")]
    admin_listen: String,
    /// The name in logs and in the record [default: host name and process id]
    #[arg(long, env = "MAILQUEUE_WORKER_NAME", value_name = "NAME")]
    worker_name: Option<String>,
    #[command(flatten)]
    shared: SharedArgs,
}

/// What `mailqueue-http` takes: one file of variables can serve both.
const HTTP_SETTINGS: &[&str] = &[
    "MAILQUEUE_LISTEN",
    "MAILQUEUE_WORKERS",
    "MAILQUEUE_FROM",
    "MAILQUEUE_FORM_TO",
    "MAILQUEUE_FORM_RECIPIENTS",
    "MAILQUEUE_API_KEYS",
    "MAILQUEUE_API_KEYS_FILE",
    "MAILQUEUE_RATE_LIMIT",
    "MAILQUEUE_FORM_RATE",
    "MAILQUEUE_CLIENT_ADDRESS_HEADER",
    "MAILQUEUE_MAX_WAITING",
    "MAILQUEUE_MAX_WAITING_BYTES",
];

struct Settings {
    concurrency: usize,
    admin_listen: SocketAddr,
    worker_name: Option<String>,
    service: ServiceSettings,
}

impl Args {
    fn resolve(self) -> Result<Settings, Vec<SettingFault>> {
        let mut faults = Faults::default();
        unknown_variables::<Self>(&mut faults, HTTP_SETTINGS);
        let service = self.shared.resolve(&mut faults);
        service.check(&mut faults);
        let settings = Settings {
            concurrency: faults.number("MAILQUEUE_CONCURRENCY", &self.concurrency, 1, 10_000),
            admin_listen: faults.address("MAILQUEUE_ADMIN_LISTEN", &self.admin_listen),
            worker_name: self.worker_name,
            service,
        };
        faults.none()?;
        Ok(settings)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        None => run(args).await,
        Some(Command::Healthcheck) => check(&args).await,
    };
    command::end("mailqueue-worker", result)
}

/// Asks the process that works. Of the settings only the address counts: the others are its own affair.
async fn check(args: &Args) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let address = faults.address("MAILQUEUE_ADMIN_LISTEN", &args.admin_listen);
    faults.none()?;
    Ok(healthcheck::ask(address).await?)
}

async fn run(args: Args) -> Result<(), Failure> {
    let Settings { concurrency, admin_listen, worker_name, service } = args.resolve()?;
    let Some(Process { metrics, shutdown, backends }) = Process::start(&service).await? else {
        return Ok(());
    };
    let admin = Admin::bind(admin_listen, Arc::clone(&backends.health), metrics, shutdown.clone()).await;
    let admin = admin.map_err(|error| format!("MAILQUEUE_ADMIN_LISTEN: {admin_listen}: {error}"))?;
    tokio::spawn(admin.serve());
    let mut worker = backends.worker(&service).concurrency(concurrency);
    if let Some(name) = worker_name {
        worker = worker.name(name);
    }
    worker.build().run(shutdown).await;
    Ok(())
}
