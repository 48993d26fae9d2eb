//! Counts of what was done.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::super::{traffic as key, unreadable};
use super::error::outcome;
use super::job::Transaction;
use super::json;
use super::statement::sql;
use super::time::{Micros, earlier, time};
use crate::contracts::controls::{
    Buckets, HistoryRetention, Traffic, TrafficCount, TrafficKey, TrafficRange, TrafficStep,
};
use crate::contracts::store::StoreError;

const MINUTE: Micros = 60_000_000;
const HOUR: Micros = 60 * MINUTE;

/// The beginning of the step of this length in which a time lies.
fn start_of(at: Micros, step: Micros) -> Micros {
    at.div_euclid(step).saturating_mul(step)
}

/// The sum of a key.
#[derive(Default)]
struct Sum {
    number: u64,
    wait: Buckets,
    took: Buckets,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.number = self.number.saturating_add(other.number);
        self.wait.add(&other.wait);
        self.took.add(&other.took);
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    minute: Micros,
    #[diesel(sql_type = Text)]
    lane: String,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = BigInt)]
    n: i64,
    #[diesel(sql_type = Text)]
    wait: String,
    #[diesel(sql_type = Text)]
    took: String,
}

impl Row {
    /// The key and the sum; `None` where one of them cannot be read.
    fn read(&self) -> Option<(TrafficKey, Sum)> {
        let key = key::key(&self.lane, &self.outcome, &self.reason);
        unreadable::left_out("traffic", key.and_then(|key| Ok((key, self.sum()?))))
    }

    fn sum(&self) -> Result<Sum, StoreError> {
        let buckets = |column, text: &str| json::read::<Vec<u64>>(column, text).map(Buckets::of);
        let (wait, took) = (buckets("wait", &self.wait)?, buckets("took", &self.took)?);
        Ok(Sum { number: self.n.unsigned_abs(), wait, took })
    }
}

const OF_MINUTE: &str = "SELECT minute, lane, outcome, reason, n, wait, took FROM traffic
    WHERE minute = ? AND lane = ? AND outcome = ? AND reason = ?";
const WRITE: &str = "INSERT OR REPLACE INTO traffic (minute, lane, outcome, reason, n, wait, took)
    VALUES (?, ?, ?, ?, ?, ?, ?)";

/// Adds to a row, or makes it; one that cannot be read is replaced. No other writes in between: the transaction is the only one that writes.
fn add_to(
    transaction: &mut Transaction<'_>,
    minute: Micros,
    key: &TrafficKey,
    mut sum: Sum,
) -> Result<(), StoreError> {
    let (lane, outcome_word, reason) = (key.lane.as_str(), key.outcome.as_str(), key::reason(key));
    let there: Option<Row> = sql!(OF_MINUTE, minute, lane, outcome_word, reason)
        .get_result(transaction.connection)
        .optional()
        .map_err(outcome)?;
    if let Some((_, there)) = there.and_then(|row| row.read()) {
        sum.add(&there);
    }
    let number = i64::try_from(sum.number).unwrap_or(i64::MAX);
    let (wait, took) = (json::write("wait", sum.wait.numbers())?, json::write("took", sum.took.numbers())?);
    let write = sql!(WRITE, minute, lane, outcome_word, reason, number, wait, took);
    write.execute(transaction.connection).map(drop).map_err(outcome)
}

/// Adds counts, all or none.
pub(super) fn add(transaction: &mut Transaction<'_>, counts: &[TrafficCount]) -> Result<(), StoreError> {
    for count in counts {
        let minute = start_of(earlier(transaction.now, count.age), MINUTE);
        let sum = Sum { number: count.number, wait: count.wait, took: count.took };
        add_to(transaction, minute, &count.key, sum)?;
    }
    Ok(())
}

const SINCE: &str = "SELECT minute, lane, outcome, reason, n, wait, took FROM traffic WHERE minute >= ?";

/// The sums of a range.
pub(super) fn traffic(transaction: &mut Transaction<'_>, range: TrafficRange) -> Result<Traffic, StoreError> {
    let step = range.step_minutes() * MINUTE;
    let since = start_of(earlier(transaction.now, range.back), step);
    let rows: Vec<Row> = sql!(SINCE, since).load(transaction.connection).map_err(outcome)?;
    let mut sums: BTreeMap<(Micros, TrafficKey), Sum> = BTreeMap::new();
    for row in rows {
        if let Some((key, sum)) = row.read() {
            sums.entry((start_of(row.minute, step), key)).or_default().add(&sum);
        }
    }
    let mut steps = Vec::with_capacity(sums.len());
    for ((start, key), Sum { number, wait, took }) in sums {
        let Some(start) = unreadable::left_out("traffic", time(start)) else { continue };
        steps.push(TrafficStep { start, key, number, wait, took });
    }
    Ok(Traffic { now: time(transaction.now)?, steps })
}

const PRUNE: &str = "DELETE FROM traffic WHERE minute < ?";
/// The first minute of an hour stands for the hour, so it stays.
const OLD_MINUTES: &str = "SELECT minute, lane, outcome, reason, n, wait, took FROM traffic
    WHERE minute < ? AND minute % 3600000000 <> 0";
const FORGET: &str = "DELETE FROM traffic WHERE minute = ? AND lane = ? AND outcome = ? AND reason = ?";

/// Thins counts out. A row that cannot be read stays as it is until it is too old: another version may read it.
pub(super) fn prune(
    transaction: &mut Transaction<'_>,
    retention: HistoryRetention,
) -> Result<(), StoreError> {
    let oldest = earlier(transaction.now, retention.hours);
    sql!(PRUNE, oldest).execute(transaction.connection).map_err(outcome)?;
    let before = start_of(earlier(transaction.now, retention.minutes), HOUR);
    let old: Vec<Row> = sql!(OLD_MINUTES, before).load(transaction.connection).map_err(outcome)?;
    let mut hours: BTreeMap<(Micros, TrafficKey), Sum> = BTreeMap::new();
    for row in &old {
        let Some((key, sum)) = row.read() else { continue };
        hours.entry((start_of(row.minute, HOUR), key)).or_default().add(&sum);
        let forget = sql!(FORGET, row.minute, row.lane.as_str(), row.outcome.as_str(), row.reason.as_str());
        forget.execute(transaction.connection).map_err(outcome)?;
    }
    for ((hour, key), sum) in hours {
        add_to(transaction, hour, &key, sum)?;
    }
    Ok(())
}
