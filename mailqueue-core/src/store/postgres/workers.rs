//! The workers, as they report themselves.

use std::time::Duration;

use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;

use super::super::{microseconds, unreadable};
use super::error::Failure;
use super::json::{Json, Read};
use super::session::Session;
use super::statement::statement;
use crate::contracts::controls::{WorkerReport, WorkerRow, Workers};
use crate::contracts::relay_health::RelayHealth;
use crate::contracts::store::StoreError;

statement! {
    /// Keeps a worker's report.
    WriteWorker {
        running_for: BigInt => i64,
        name: Text => String,
        version: Text => String,
        concurrency: Integer => i32,
        in_flight: Integer => i32,
        state: Text => &'static str,
        relays: Jsonb => Json<Vec<RelayHealth>>,
    } -> Bool = "
        INSERT INTO workers (started_at, seen_at, name, version, concurrency, in_flight, state, relays)
        VALUES (now() - ? * interval '1 microsecond', now(), ?, ?, ?, ?, ?, ?)
        ON CONFLICT (name) DO UPDATE SET version = EXCLUDED.version, started_at = EXCLUDED.started_at,
            seen_at = EXCLUDED.seen_at, concurrency = EXCLUDED.concurrency, in_flight = EXCLUDED.in_flight,
            state = EXCLUDED.state, relays = EXCLUDED.relays"
}

/// Keeps a worker's report.
pub(super) async fn report(connection: &mut Session, report: WorkerReport) -> Result<(), Failure> {
    let statement = WriteWorker {
        running_for: microseconds::of(report.running_for),
        name: report.name,
        version: report.version,
        concurrency: number(report.concurrency),
        in_flight: number(report.in_flight),
        state: report.state.as_str(),
        relays: Json(report.relays),
    };
    statement.execute(connection).await?;
    Ok(())
}

fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

statement! {
    /// Forgets a worker.
    DeleteWorker { name: Text => String } -> Bool = "DELETE FROM workers WHERE name = ?"
}

/// Forgets a worker.
pub(super) async fn sign_off(connection: &mut Session, name: String) -> Result<(), Failure> {
    DeleteWorker { name }.execute(connection).await?;
    Ok(())
}

statement! {
    /// All workers beside the time, which comes in a row of its own where there are none.
    ReadWorkers {} -> (Timestamptz, Nullable<(
        Text, Text, Timestamptz, Timestamptz, Integer, Integer, Text, Jsonb,
    )>) = "
        SELECT clock.now, w.name, w.version, w.started_at, w.seen_at, w.concurrency, w.in_flight, w.state, w.relays
        FROM (SELECT now() AS now) AS clock LEFT JOIN workers w ON true
        ORDER BY w.name"
}

type Row = (String, String, OffsetDateTime, OffsetDateTime, i32, i32, String, Read<Vec<RelayHealth>>);

/// All workers, by name.
pub(super) async fn workers(connection: &mut Session) -> Result<Workers, Failure> {
    let rows: Vec<(OffsetDateTime, Option<Row>)> = ReadWorkers {}.load(connection).await?;
    // Never the other branch: the time's row is there without any worker.
    let now = rows.as_slice().first().map_or(OffsetDateTime::UNIX_EPOCH, |row| row.0);
    let rows = rows.into_iter().filter_map(|(_, row)| row.map(read));
    Ok(Workers { now, rows: rows.filter_map(|row| unreadable::left_out("workers", row)).collect() })
}

fn read(row: Row) -> Result<WorkerRow, StoreError> {
    let (name, version, started_at, seen_at, concurrency, in_flight, state, relays) = row;
    Ok(WorkerRow {
        name,
        version,
        started_at,
        seen_at,
        concurrency: concurrency.unsigned_abs(),
        in_flight: in_flight.unsigned_abs(),
        state: state.parse().map_err(unreadable::value)?,
        relays: relays.of("relays").unwrap_or_default(),
    })
}

statement! {
    /// Drops those that have not reported for long.
    PruneWorkers { age: BigInt => i64 } -> Bool = "
        DELETE FROM workers WHERE seen_at <= now() - ? * interval '1 microsecond'"
}

/// Drops those that have not reported for long.
pub(super) async fn prune(connection: &mut Session, age: Duration) -> Result<(), Failure> {
    PruneWorkers { age: microseconds::of(age) }.execute(connection).await?;
    Ok(())
}
