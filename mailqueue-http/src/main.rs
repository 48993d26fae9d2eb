//! Takes mail in, and on a machine of its own sends it, too.

mod command;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use command::Command;
use mailqueue_core::Outbox;
use mailqueue_http::{App, Server};
use mailqueue_worker::service::command::{Command as Common, Failure, end};
use mailqueue_worker::service::{healthcheck, process::Process};
use mailqueue_worker::{CancellationToken, Worker};
use settings::{Args, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = Args::parse();
    let result = match args.command.take() {
        None => run(args).await,
        Some(Command::Common(Common::Healthcheck)) => check(args).await,
        Some(Command::Key(key)) => command::make_key(key),
    };
    end("mailqueue-http", result)
}

/// Asks the process that works.
async fn check(args: Args) -> Result<(), Failure> {
    Ok(healthcheck::ask(args.http.listen.into_value()?).await?)
}

async fn run(args: Args) -> Result<(), Failure> {
    let Settings { listen, workers, options, capacity, service } = args.resolve()?;
    let Some(Process { metrics: measured, shutdown, backends }) = Process::start(&service).await? else {
        return Ok(());
    };
    let (store, queue) = (Arc::clone(&backends.store), Arc::clone(&backends.queue));
    let outbox = Outbox::start_within(capacity, store, queue).await;
    let app = App::with_metrics(outbox, options, move || measured.render());
    let worker = (workers > 0).then(|| backends.worker(&service)).transpose()?;
    let server = Server::bind(listen, app).await;
    let server = server.map_err(|error| format!("MAILQUEUE_LISTEN: {listen}: {error}"))?;
    announce(&server, workers)?;
    // A little less than until the process ends the hard way.
    let server = server.drain_within(service.shutdown_grace * 4 / 5);
    let Some(worker) = worker else {
        server.run(shutdown.cancelled_owned()).await;
        return Ok(());
    };
    // The server has the other half of the memory (see `Args::resolve`).
    let worker = worker.concurrency(workers).memory(service.memory / 2).build();
    Ok(both(server, worker, shutdown).await?)
}

/// Serves and sends until the end; one that ends before its time ends the other.
async fn both(server: Server, worker: Worker, shutdown: CancellationToken) -> Result<(), String> {
    let mut working = tokio::spawn(worker.run(shutdown.clone()));
    let mut serving = std::pin::pin!(server.run(shutdown.clone().cancelled_owned()));
    tokio::select! {
        () = serving.as_mut() => {
            let ended = working.await;
            ended.map_err(|_| "the worker in this process did not end in order; the log says more".into())
        }
        ended = &mut working => {
            if ended.is_err() || !shutdown.is_cancelled() {
                return Err("the worker in this process ended by a fault; the log says more".into());
            }
            serving.await;
            Ok(())
        }
    }
}

fn announce(server: &Server, workers: usize) -> Result<(), String> {
    let address = server.local_addr().map_err(|error| format!("MAILQUEUE_LISTEN: {error}"))?;
    tracing::info!(event = "server.listening", url = %format_args!("http://{address}/"), workers, "listening");
    Ok(())
}
