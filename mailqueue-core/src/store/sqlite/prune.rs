//! Forgetting what is old enough.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool};

use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::earlier;
use crate::contracts::store::{Pruned, Retention, StoreError};

/// Forgets content first, since it is what takes the room. What is due to go wholly is not written for that before.
pub(super) fn prune(
    transaction: &mut Transaction<'_>,
    retention: &Retention,
    limit: usize,
) -> Result<Pruned, StoreError> {
    let contents = forget_contents(transaction, retention, limit)?;
    // Shares the limit with the contents: all other writers wait for this one.
    let records = forget_records(transaction, retention, limit.saturating_sub(contents))?;
    let keys = sql!(FORGET_KEYS, transaction.now, limit).execute(transaction.connection).map_err(outcome)?;
    let with_content = records.iter().filter(|row| row.has_content).count();
    Ok(Pruned {
        contents: (contents + with_content) as u64,
        records: records.len() as u64,
        keys: keys as u64,
    })
}

#[derive(QueryableByName)]
struct Old {
    #[diesel(sql_type = Binary)]
    email_id: Vec<u8>,
    #[diesel(sql_type = Bool)]
    has_content: bool,
}

/// Only what is finished has a `finished_at`.
// SQLite uses the partial index only where its condition (`has_content = 1`) is written alike.
const OLD_CONTENTS: &str = "SELECT email_id, has_content FROM deliveries
    WHERE has_content = 1 AND finished_at <= ? AND finished_at > ? ORDER BY finished_at LIMIT ?";
const FORGET_CONTENT: &str =
    "UPDATE emails SET body_text = NULL, body_html = NULL, raw = NULL, line_ends = NULL WHERE id = ?";
const NOTE_IT: &str = "UPDATE deliveries SET has_content = 0 WHERE email_id = ?";

fn forget_contents(
    transaction: &mut Transaction<'_>,
    retention: &Retention,
    limit: usize,
) -> Result<usize, StoreError> {
    let old: Vec<Old> = sql!(
        OLD_CONTENTS,
        earlier(transaction.now, retention.content),
        earlier(transaction.now, retention.record),
        limit
    )
    .load(transaction.connection)
    .map_err(outcome)?;
    for row in &old {
        for statement in [sql!(FORGET_CONTENT, &*row.email_id), sql!(NOTE_IT, &*row.email_id)] {
            statement.execute(transaction.connection).map_err(outcome)?;
        }
    }
    Ok(old.len())
}

/// The oldest first.
const OLD_RECORDS: &str = "SELECT email_id, has_content FROM deliveries
    WHERE finished_at <= ? ORDER BY finished_at LIMIT ?";
/// The delivery goes with it.
const FORGET_RECORD: &str = "DELETE FROM emails WHERE id = ?";

fn forget_records(
    transaction: &mut Transaction<'_>,
    retention: &Retention,
    limit: usize,
) -> Result<Vec<Old>, StoreError> {
    let old: Vec<Old> = sql!(OLD_RECORDS, earlier(transaction.now, retention.record), limit)
        .load(transaction.connection)
        .map_err(outcome)?;
    for row in &old {
        sql!(FORGET_RECORD, &*row.email_id).execute(transaction.connection).map_err(outcome)?;
    }
    Ok(old)
}

const FORGET_KEYS: &str = "DELETE FROM idempotency_keys WHERE rowid IN (
    SELECT rowid FROM idempotency_keys WHERE expires_at < ? LIMIT ?)";
