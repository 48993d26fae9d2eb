//! `audit`

use clap::Args;
use mailqueue_core::contracts::store::Listed;
use mailqueue_core::domain::audit;
use mailqueue_core::domain::search::Search;
use mailqueue_worker::service::command::Failure;
use serde::Serialize;

use super::database::{Database, failed};
use super::output::{self, Output, Progress};

/// The messages of one page.
const PAGE: usize = 500;

/// Checks all records.
#[derive(Debug, Clone, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    output: Output,
}

/// A fault of a record.
#[derive(Debug, Serialize)]
struct Fault {
    id: String,
    fault: String,
}

impl Audit {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let (mut looked_at, mut faults, mut progress) = (0_usize, Vec::new(), Progress::start());
        let (all, mut after) = (Search::default(), None);
        loop {
            let found = database.outbox.search(&all, after, PAGE).await.map_err(failed)?;
            looked_at += found.records.len();
            faults.extend(found.records.iter().flat_map(of));
            progress.tell(|| format!("{looked_at} messages so far"));
            match found.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let count = faults.len();
        if self.output.json {
            faults.iter().try_for_each(output::object)?;
        } else {
            output::line(&format!("{looked_at} messages, {count} faults"))?;
            if count > 0 {
                output::table(["ID", "FAULT"], faults.into_iter().map(|fault| [fault.id, fault.fault]))?;
            }
        }
        if count == 0 { Ok(()) } else { Err(Failure::Sentence(format!("faults found: {count}"))) }
    }
}

fn of(listed: &Listed) -> Vec<Fault> {
    match listed {
        Ok(record) => {
            let fault = |fault: &'static str| Fault { id: record.id.to_string(), fault: fault.to_owned() };
            audit::faults(record).into_iter().map(fault).collect()
        }
        Err((partial, error)) => vec![Fault { id: partial.id.to_string(), fault: error.to_string() }],
    }
}
