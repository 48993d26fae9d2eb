//! `status`

use std::time::Duration;

use clap::Args;
use mailqueue_core::contracts::controls::{
    Buckets, Pauses, Traffic, TrafficOutcome, TrafficRange, WorkerRow, Workers,
};
use mailqueue_core::contracts::store::Backlog;
use mailqueue_worker::service::command::Failure;
use serde::Serialize;

use super::database::{Database, failed};
use super::output::{self, Output, between, instant, length, seconds};
use super::pause::PauseView;

/// The most waiting messages that are counted: further ones would cost seconds.
const MAX_COUNT: u64 = 1_000_000;

const HOUR: Duration = Duration::from_secs(3600);

/// The pause between two looks of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Shows how things are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Status {
    /// Look again every two seconds
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    output: Output,
}

struct Snapshot {
    backlog: Backlog,
    pauses: Pauses,
    workers: Workers,
    traffic: Traffic,
}

impl Status {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        loop {
            let snapshot = Snapshot::take(database).await?;
            match self.output.json {
                true => output::object(&snapshot.view())?,
                false => {
                    if self.watch {
                        // Clears the terminal and goes to its top.
                        output::write("\u{1b}[2J\u{1b}[H")?;
                    }
                    snapshot.show()?;
                }
            }
            if !self.watch {
                return Ok(());
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }
}

impl Snapshot {
    async fn take(database: &Database) -> Result<Self, Failure> {
        Ok(Self {
            backlog: database.store.backlog(MAX_COUNT).await.map_err(failed)?,
            pauses: database.controls.pauses().await.map_err(failed)?,
            workers: database.controls.workers().await.map_err(failed)?,
            traffic: database
                .controls
                .traffic(&TrafficRange { back: HOUR, step: HOUR })
                .await
                .map_err(failed)?,
        })
    }

    fn show(&self) -> Result<(), Failure> {
        let backlog = &self.backlog;
        let more = if backlog.queued >= MAX_COUNT { " or more" } else { "" };
        let oldest = backlog.oldest_due.map_or("-".to_owned(), |due| between(due, backlog.now));
        output::line(&format!(
            "{} queued{more}, {} being sent, the oldest due for {oldest}",
            backlog.queued, backlog.sending
        ))?;
        output::line("")?;
        let pauses = self.pauses.in_force.iter().map(|pause| {
            let until = pause.until.map_or("somebody resumes".to_owned(), seconds);
            [pause.scope.to_string(), until, pause.by.clone(), pause.reason.clone()]
        });
        match self.pauses.in_force.is_empty() {
            true => output::line("Nothing is paused.")?,
            false => output::table(["PAUSED", "UNTIL", "BY", "REASON"], pauses)?,
        }
        output::line("")?;
        self.show_workers()?;
        output::line("")?;
        let sums = self.outcomes();
        if sums.is_empty() {
            return output::line("Nothing was done in the last hour.");
        }
        let header = ["LAST HOUR OR TWO", "NUMBER", "WAITED P50", "P95", "TOOK P50", "P95"];
        output::table(header, sums.iter().map(Sum::row))
    }

    fn show_workers(&self) -> Result<(), Failure> {
        if self.workers.rows.is_empty() {
            return output::line("No worker has reported.");
        }
        let worker = |row: &WorkerRow| {
            let state =
                if self.workers.has_lost(row) { "not seen".to_owned() } else { row.state.to_string() };
            [
                row.name.clone(),
                row.version.clone(),
                state,
                format!("{}/{}", row.in_flight, row.concurrency),
                between(row.started_at, self.workers.now),
                format!("{} ago", between(row.seen_at, self.workers.now)),
            ]
        };
        output::table(
            ["WORKER", "VERSION", "STATE", "IN FLIGHT", "RUNNING FOR", "SEEN"],
            self.workers.rows.iter().map(worker),
        )?;
        match self.workers.rows.iter().all(|row| row.relays.is_empty()) {
            true => Ok(()),
            false => self.show_relays(),
        }
    }

    fn show_relays(&self) -> Result<(), Failure> {
        let rows = self.workers.rows.iter();
        let relays =
            rows.flat_map(|row| row.relays.iter().map(move |relay| (row, relay))).map(|(row, relay)| {
                let fault = relay.last_fault.map(|last| {
                    let code = last.code.map(|code| format!(" {code}")).unwrap_or_default();
                    format!(
                        "{}{code}, {} before",
                        last.fault.as_str(),
                        length(Duration::from_secs(last.age_s))
                    )
                });
                let phase = if relay.is_paused { "paused" } else { relay.phase.as_str() };
                [
                    relay.name.clone(),
                    row.name.clone(),
                    phase.to_owned(),
                    format!("{}/{}", relay.in_use, relay.allowed),
                    fault.unwrap_or_default(),
                ]
            });
        output::line("")?;
        output::table(["RELAY", "WORKER", "BREAKER", "IN USE", "LAST FAULT"], relays)
    }

    /// The sums of the last hour by outcome, in the order of outcomes.
    fn outcomes(&self) -> Vec<Sum> {
        let sums = TrafficOutcome::ALL.into_iter().map(|outcome| {
            let mut sum = Sum { outcome, number: 0, wait: Buckets::default(), took: Buckets::default() };
            for step in self.traffic.steps.iter().filter(|step| step.key.outcome == outcome) {
                sum.number += step.number;
                sum.wait.add(&step.wait);
                sum.took.add(&step.took);
            }
            sum
        });
        sums.filter(|sum| sum.number > 0).collect()
    }

    fn view(&self) -> View<'_> {
        View {
            now: instant(self.backlog.now),
            queued: self.backlog.queued,
            sending: self.backlog.sending,
            oldest_due_at: self.backlog.oldest_due.map(instant),
            pauses: self.pauses.in_force.iter().map(PauseView::from).collect(),
            workers: self.workers.rows.iter().map(|row| WorkerView::of(row, &self.workers)).collect(),
            outcomes: self.outcomes().iter().map(OutcomeView::from).collect(),
        }
    }
}

struct Sum {
    outcome: TrafficOutcome,
    number: u64,
    wait: Buckets,
    took: Buckets,
}

impl Sum {
    fn row(&self) -> [String; 6] {
        let quantile = |buckets: &Buckets, share| buckets.quantile(share).map_or("-".to_owned(), length);
        [
            self.outcome.to_string(),
            self.number.to_string(),
            quantile(&self.wait, 0.5),
            quantile(&self.wait, 0.95),
            quantile(&self.took, 0.5),
            quantile(&self.took, 0.95),
        ]
    }
}

/// Everything for programs.
#[derive(Debug, Serialize)]
struct View<'a> {
    now: String,
    queued: u64,
    sending: u64,
    oldest_due_at: Option<String>,
    pauses: Vec<PauseView>,
    workers: Vec<WorkerView<'a>>,
    outcomes: Vec<OutcomeView>,
}

#[derive(Debug, Serialize)]
struct WorkerView<'a> {
    name: &'a str,
    version: &'a str,
    state: &'static str,
    is_lost: bool,
    in_flight: u32,
    concurrency: u32,
    started_at: String,
    seen_at: String,
    relays: &'a [mailqueue_core::contracts::relay_health::RelayHealth],
}

impl<'a> WorkerView<'a> {
    fn of(row: &'a WorkerRow, workers: &Workers) -> Self {
        Self {
            name: &row.name,
            version: &row.version,
            state: row.state.as_str(),
            is_lost: workers.has_lost(row),
            in_flight: row.in_flight,
            concurrency: row.concurrency,
            started_at: instant(row.started_at),
            seen_at: instant(row.seen_at),
            relays: &row.relays,
        }
    }
}

#[derive(Debug, Serialize)]
struct OutcomeView {
    outcome: TrafficOutcome,
    number: u64,
    wait_p50_ms: Option<u64>,
    wait_p95_ms: Option<u64>,
    took_p50_ms: Option<u64>,
    took_p95_ms: Option<u64>,
}

impl From<&Sum> for OutcomeView {
    fn from(sum: &Sum) -> Self {
        let millis = |buckets: &Buckets, share| {
            buckets.quantile(share).map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
        };
        Self {
            outcome: sum.outcome,
            number: sum.number,
            wait_p50_ms: millis(&sum.wait, 0.5),
            wait_p95_ms: millis(&sum.wait, 0.95),
            took_p50_ms: millis(&sum.took, 0.5),
            took_p95_ms: millis(&sum.took, 0.95),
        }
    }
}
