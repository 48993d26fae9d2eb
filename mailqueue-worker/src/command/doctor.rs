//! `doctor`

use std::time::Duration;

use clap::Args;
use mailqueue_core::Lane;
use mailqueue_core::connect;
use mailqueue_core::transport::smtp::RelayUrl;
use mailqueue_worker::service::command::Failure;
use mailqueue_worker::service::settings::ServiceSettings;
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::database::{Database, failed};
use super::output::{self, Output, between};

/// The longest wait for a relay or the queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The age of the oldest due message from which on something is wrong.
const MAX_OLDEST: Duration = Duration::from_secs(600);

/// Checks everything.
#[derive(Debug, Clone, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Fault,
}

/// What a check has found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { check, verdict, detail: detail.into() }
    }
}

impl Doctor {
    pub(super) async fn run(self, settings: &ServiceSettings) -> Result<(), Failure> {
        let mut findings = vec![Finding::new("settings", Verdict::Ok, "all can be read")];
        match Database::open(settings).await {
            Ok(database) => findings.extend(of_database(&database).await),
            Err(failure) => findings.push(Finding::new("database", Verdict::Fault, said(&failure))),
        }
        findings.push(of_queue(settings).await);
        findings.extend(of_relays(settings).await);
        let faults = findings.iter().filter(|finding| finding.verdict == Verdict::Fault).count();
        if self.output.json {
            findings.iter().try_for_each(output::object)?;
        } else {
            let rows = findings.into_iter().map(|finding| {
                let verdict = format!("{:?}", finding.verdict).to_lowercase();
                [finding.check.to_owned(), verdict, finding.detail]
            });
            output::table(["CHECK", "VERDICT", "DETAIL"], rows)?;
        }
        match faults {
            0 => Ok(()),
            faults => Err(Failure::Sentence(format!("faults found: {faults}"))),
        }
    }
}

/// The words of a failure; those of all faults where settings are wrong.
fn said(failure: &Failure) -> String {
    match failure {
        Failure::Settings(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

async fn of_database(database: &Database) -> Vec<Finding> {
    let mut findings =
        vec![Finding::new("database", Verdict::Ok, "it is open, and its tables are up to date")];
    findings.push(match database.store.probe().await {
        Ok(probe) if probe.has_space => Finding::new("writes", Verdict::Ok, "it takes writes"),
        Ok(_) => Finding::new("writes", Verdict::Fault, "it has no space for new messages"),
        Err(error) => Finding::new("writes", Verdict::Fault, error.to_string()),
    });
    match of_work(database).await {
        Ok(more) => findings.extend(more),
        Err(failure) => findings.push(Finding::new("database", Verdict::Fault, failure.to_string())),
    }
    findings
}

async fn of_work(database: &Database) -> Result<[Finding; 3], Failure> {
    let workers = database.controls.workers().await.map_err(failed)?;
    let live = workers.rows.iter().filter(|row| !workers.has_lost(row)).count();
    let lost = workers.rows.len() - live;
    let verdict = match (live, lost) {
        (0, _) => Verdict::Fault,
        (_, 0) => Verdict::Ok,
        _ => Verdict::Warning,
    };
    let seen = Finding::new("workers", verdict, format!("{live} at work, {lost} not seen any more"));
    let pauses = database.controls.pauses().await.map_err(failed)?;
    let scopes: Vec<String> = pauses.in_force.iter().map(|pause| pause.scope.to_string()).collect();
    let paused = match scopes.is_empty() {
        true => Finding::new("pauses", Verdict::Ok, "nothing is paused"),
        false => Finding::new("pauses", Verdict::Warning, format!("paused: {}", scopes.join(", "))),
    };
    let backlog = database.store.backlog(0).await.map_err(failed)?;
    let waited = match backlog.oldest_due {
        None => Finding::new("backlog", Verdict::Ok, "nothing is due"),
        Some(due) => {
            let is_old = backlog.now - due > MAX_OLDEST;
            let verdict = if is_old { Verdict::Warning } else { Verdict::Ok };
            Finding::new(
                "backlog",
                verdict,
                format!("the oldest has been due for {}", between(due, backlog.now)),
            )
        }
    };
    Ok([seen, paused, waited])
}

async fn of_queue(settings: &ServiceSettings) -> Finding {
    if settings.redis.is_none() {
        return Finding::new("queue", Verdict::Ok, "in the process of each worker");
    }
    let queue = match connect::queue_with(settings.redis.as_ref(), settings.queue_options()) {
        Ok(queue) => queue,
        Err(error) => return Finding::new("queue", Verdict::Fault, error.to_string()),
    };
    // Mail goes on without a queue, slower.
    match timeout(ANSWER_TIMEOUT, queue.depth(Lane::Normal)).await {
        Ok(Ok(_)) => Finding::new("queue", Verdict::Ok, "Redis answers"),
        Ok(Err(error)) => Finding::new("queue", Verdict::Warning, error.to_string()),
        Err(_) => Finding::new("queue", Verdict::Warning, "Redis does not answer"),
    }
}

async fn of_relays(settings: &ServiceSettings) -> Vec<Finding> {
    if settings.writes_files() {
        return vec![Finding::new("relay", Verdict::Warning, "mail is written to files, not sent")];
    }
    let urls =
        settings.relays.expose_secret().split(',').filter_map(|url| url.trim().parse::<RelayUrl>().ok());
    let mut findings = Vec::new();
    for name in urls.map(|url| url.host_and_port()) {
        findings.push(match timeout(ANSWER_TIMEOUT, TcpStream::connect(&name)).await {
            Ok(Ok(_)) => Finding::new("relay", Verdict::Ok, format!("{name} takes connections")),
            Ok(Err(error)) => Finding::new("relay", Verdict::Fault, format!("{name}: {error}")),
            Err(_) => Finding::new("relay", Verdict::Fault, format!("{name} does not answer")),
        });
    }
    findings
}
