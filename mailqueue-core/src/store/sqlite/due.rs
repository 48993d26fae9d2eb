//! The messages that are due, and how many wait.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

use super::delivery;
use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::{Micros, micros, time};
use crate::contracts::queue::Entry;
use crate::contracts::store::{Backlog, DueRange, StoreError};

/// In the order of the index `deliveries_due`, so that a page costs the same however long the backlog is.
const DUE: &str = "SELECT email_id, due_at FROM deliveries
    WHERE status = 'queued' AND lane = ? AND due_at < ? AND due_at <= ? ORDER BY due_at, email_id LIMIT ?";

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Binary)]
    email_id: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    due_at: Micros,
}

/// The messages of each range that are queued and due.
pub(super) fn due(transaction: &mut Transaction<'_>, ranges: &[DueRange]) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for &DueRange { lane, before, limit } in ranges {
        // The largest number stands for no bound, so that one compiled statement serves both.
        let before = before.map_or(Micros::MAX, micros);
        let rows: Vec<Due> = sql!(DUE, lane.as_str(), before, transaction.now, limit)
            .load(transaction.connection)
            .map_err(outcome)?;
        for row in rows {
            entries.push(Entry { lane, due_at: time(row.due_at)?, id: delivery::id(&row.email_id)? });
        }
    }
    Ok(entries)
}

/// A minimum for each lane, since the index is by lane first.
const BACKLOG: &str = "SELECT waiting.messages AS queued, waiting.octets AS octets,
    (SELECT count(*) FROM deliveries WHERE status = 'sending') AS sending,
    (SELECT min(due_at) FROM (
        SELECT min(due_at) AS due_at FROM deliveries WHERE status = 'queued' AND lane = 'urgent' UNION ALL
        SELECT min(due_at) FROM deliveries WHERE status = 'queued' AND lane = 'normal' UNION ALL
        SELECT min(due_at) FROM deliveries WHERE status = 'queued' AND lane = 'bulk'
    )) AS first_due
    FROM (SELECT count(*) AS messages, COALESCE(sum(octets), 0) AS octets
        FROM (SELECT octets FROM deliveries WHERE status = 'queued' LIMIT ?)) AS waiting";

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    queued: i64,
    #[diesel(sql_type = BigInt)]
    octets: i64,
    #[diesel(sql_type = BigInt)]
    sending: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    first_due: Option<Micros>,
}

/// The number and size of the messages that wait.
pub(super) fn backlog(transaction: &mut Transaction<'_>, count: u64) -> Result<Backlog, StoreError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let select = sql!(BACKLOG, count);
    let counts: Counts = select.get_result(transaction.connection).map_err(outcome)?;
    let due = counts.first_due.filter(|&due_at| due_at <= transaction.now);
    Ok(Backlog {
        now: time(transaction.now)?,
        queued: counts.queued.unsigned_abs(),
        octets: counts.octets.unsigned_abs(),
        sending: counts.sending.unsigned_abs(),
        oldest_due: due.map(time).transpose()?,
    })
}
