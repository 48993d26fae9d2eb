//! `replay`

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use clap::Args;
use mailqueue_core::outbox::{Receipt, SubmitError};
use mailqueue_worker::service::command::Failure;
use serde::Serialize;

use super::database::{Database, failed};
use super::exported::Exported;
use super::output::{self, Output};

/// Submits an export again.
#[derive(Debug, Clone, Args)]
pub(crate) struct Replay {
    /// What `export` has written; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// A message and the one that was made of it.
#[derive(Debug, Serialize)]
struct Line {
    old: String,
    new: String,
    /// It had been made before.
    was_there: bool,
}

impl Replay {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let fault = |error: std::io::Error| Failure::Sentence(format!("{}: {error}", self.file.display()));
        let reader: Box<dyn BufRead> = match self.file.as_os_str() == "-" {
            true => Box::new(BufReader::new(std::io::stdin())),
            false => Box::new(BufReader::new(File::open(&self.file).map_err(fault)?)),
        };
        let (mut made, mut there, mut refused) = (0_u64, 0_u64, 0_u64);
        for (n, line) in reader.lines().enumerate() {
            match replay(database, &line.map_err(fault)?).await? {
                Ok(line) => {
                    let sum = if line.was_there { &mut there } else { &mut made };
                    *sum += 1;
                    self.tell(&line)?;
                }
                Err(detail) => {
                    output::advise(&format!("line {}: {detail}", n + 1));
                    refused += 1;
                }
            }
        }
        output::advise(&format!("{made} messages are submitted, {there} had been before"));
        match refused {
            0 => Ok(()),
            refused => Err(Failure::Partly(format!("{refused} lines were not submitted"))),
        }
    }

    fn tell(&self, line: &Line) -> Result<(), Failure> {
        match self.output.json {
            true => output::object(line),
            false => output::line(&format!("{} {}", line.old, line.new)),
        }
    }
}

/// Submits one line under a key made of the old id, so that another replay within a day makes no second message.
async fn replay(database: &Database, line: &str) -> Result<Result<Line, String>, Failure> {
    // The parser's own words would quote somebody's mail.
    let Ok(copy) = serde_json::from_str::<Exported>(line) else {
        return Ok(Err("it is no message as `export` writes it".to_owned()));
    };
    let (old, tenant) = (copy.id.to_string(), copy.tenant.clone());
    let draft = match copy.draft(database.outbox.clock().now()) {
        Ok(draft) => draft.idempotency_key(format!("replay-{old}")),
        Err(detail) => return Ok(Err(detail)),
    };
    let outbox =
        if tenant.is_empty() { database.outbox.clone() } else { database.outbox.for_tenant(&tenant) };
    match outbox.submit(draft).await {
        Ok(Receipt { id, replayed }) => Ok(Ok(Line { old, new: id.to_string(), was_there: replayed })),
        Err(SubmitError::Store(error)) => Err(failed(error)),
        Err(error) => Ok(Err(error.to_string())),
    }
}
