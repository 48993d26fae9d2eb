//! `export`

use clap::Args;
use mailqueue_worker::service::command::Failure;

use super::database::{Database, failed};
use super::exported::Exported;
use super::list::read;
use super::output;

/// The messages of one page.
const PAGE: usize = 200;

/// Writes messages with their content.
#[derive(Debug, Clone, Args)]
pub(crate) struct Export {
    /// Only what a search finds, such as "status:failed after:2d" [default: all messages]
    #[arg(long = "where", default_value = "", hide_default_value = true, value_name = "SEARCH")]
    search: String,
}

impl Export {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let search = read(&self.search, database).await?;
        let (mut written, mut left, mut after) = (0_u64, 0_u64, None);
        loop {
            let found = database.outbox.search(&search, after, PAGE).await.map_err(failed)?;
            for listed in found.records {
                let copy = match listed {
                    Ok(record) => {
                        database.outbox.get(record.id).await.map_err(failed)?.and_then(Exported::of)
                    }
                    Err(_) => None,
                };
                match copy {
                    Some(copy) => {
                        output::object(&copy)?;
                        written += 1;
                    }
                    None => left += 1,
                }
            }
            match found.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        output::advise(&format!("{written} messages are written"));
        match left {
            0 => Ok(()),
            left => {
                Err(Failure::Partly(format!("{left} messages have no content any more, or cannot be read")))
            }
        }
    }
}
