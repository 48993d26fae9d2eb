//! The workers, as they report themselves.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::super::unreadable;
use super::error::outcome;
use super::job::Transaction;
use super::json;
use super::statement::sql;
use super::time::{Micros, earlier, time};
use crate::contracts::controls::{WorkerReport, WorkerRow, Workers};
use crate::contracts::store::StoreError;

const WRITE: &str = "INSERT INTO workers
        (name, version, started_at, seen_at, concurrency, in_flight, state, relays) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, started_at = excluded.started_at,
        seen_at = excluded.seen_at, concurrency = excluded.concurrency, in_flight = excluded.in_flight,
        state = excluded.state, relays = excluded.relays";

/// Keeps a worker's report.
pub(super) fn report(transaction: &mut Transaction<'_>, report: &WorkerReport) -> Result<(), StoreError> {
    let write = sql!(
        WRITE,
        report.name.as_str(),
        report.version.as_str(),
        earlier(transaction.now, report.running_for),
        transaction.now,
        report.concurrency,
        report.in_flight,
        report.state.as_str(),
        json::write("relays", &report.relays)?
    );
    write.execute(transaction.connection).map(drop).map_err(outcome)
}

const FORGET: &str = "DELETE FROM workers WHERE name = ?";

/// Forgets a worker.
pub(super) fn sign_off(transaction: &mut Transaction<'_>, name: &str) -> Result<(), StoreError> {
    sql!(FORGET, name).execute(transaction.connection).map(drop).map_err(outcome)
}

const ALL: &str = "SELECT name, version, started_at, seen_at, concurrency, in_flight, state, relays
    FROM workers ORDER BY name";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    started_at: Micros,
    #[diesel(sql_type = BigInt)]
    seen_at: Micros,
    #[diesel(sql_type = BigInt)]
    concurrency: i64,
    #[diesel(sql_type = BigInt)]
    in_flight: i64,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    relays: String,
}

impl Row {
    fn read(self) -> Result<WorkerRow, StoreError> {
        Ok(WorkerRow {
            name: self.name,
            version: self.version,
            started_at: time(self.started_at)?,
            seen_at: time(self.seen_at)?,
            concurrency: self.concurrency.try_into().unwrap_or(0),
            in_flight: self.in_flight.try_into().unwrap_or(0),
            state: self.state.parse().map_err(unreadable::value)?,
            relays: json::read("relays", &self.relays).unwrap_or_default(),
        })
    }
}

/// All workers, by name.
pub(super) fn workers(transaction: &mut Transaction<'_>) -> Result<Workers, StoreError> {
    let rows: Vec<Row> = sql!(ALL).load(transaction.connection).map_err(outcome)?;
    let rows = rows.into_iter().map(Row::read);
    let rows = rows.filter_map(|row| unreadable::left_out("workers", row)).collect();
    Ok(Workers { now: time(transaction.now)?, rows })
}

const PRUNE: &str = "DELETE FROM workers WHERE seen_at <= ?";

/// Drops those that have not reported for long.
pub(super) fn prune(transaction: &mut Transaction<'_>, age: Duration) -> Result<(), StoreError> {
    let prune = sql!(PRUNE, earlier(transaction.now, age));
    prune.execute(transaction.connection).map(drop).map_err(outcome)
}
