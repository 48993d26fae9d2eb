//! Pauses.

use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;

use super::super::{microseconds, pause, unreadable};
use super::error::Failure;
use super::session::Session;
use super::statement::statement;
use crate::contracts::controls::{Pause, PauseRequest, Pauses};
use crate::contracts::store::StoreError;
use crate::domain::pause_scope::PauseScope;

/// Scope, name, end, reason, who and when.
type Row = (String, String, Option<OffsetDateTime>, String, String, OffsetDateTime);

statement! {
    /// Keeps a pause, instead of an earlier one of its scope. The latest end is the last that a time can be read back
    /// from.
    WritePause {
        scope: Text => String,
        name: Text => String,
        length: Nullable<BigInt> => Option<i64>,
        reason: Text => String,
        by: Text => String,
    } -> (Text, Text, Nullable<Timestamptz>, Text, Text, Timestamptz) = "
        INSERT INTO controls (scope, name, until, reason, paused_by, paused_at)
        SELECT scope, name, CASE WHEN length IS NOT NULL THEN
                LEAST(now() + LEAST(length, 315360000000000000) * interval '1 microsecond', '9999-12-31Z') END,
            reason, paused_by, now()
        FROM (SELECT ? AS scope, ? AS name, ?::bigint AS length, ? AS reason, ? AS paused_by) AS asked
        ON CONFLICT (scope, name) DO UPDATE SET until = EXCLUDED.until, reason = EXCLUDED.reason,
            paused_by = EXCLUDED.paused_by, paused_at = EXCLUDED.paused_at
        RETURNING scope, name, until, reason, paused_by, paused_at"
}

/// Keeps a pause.
pub(super) async fn pause(connection: &mut Session, request: PauseRequest) -> Result<Pause, Failure> {
    let statement = WritePause {
        scope: request.scope.kind().to_owned(),
        name: request.scope.name().to_owned(),
        length: request.length.map(microseconds::of),
        reason: request.reason,
        by: request.by,
    };
    let row: Row = statement.get_result(connection).await?;
    Ok(read(row)?)
}

statement! {
    /// Ends a pause and tells whether it was in force.
    DeletePause { scope: Text => String, name: Text => String } -> Bool = "
        DELETE FROM controls WHERE scope = ? AND name = ? RETURNING until IS NULL OR until > now()"
}

/// Ends the pause of a scope.
pub(super) async fn resume(connection: &mut Session, scope: PauseScope) -> Result<bool, Failure> {
    let statement = DeletePause { scope: scope.kind().to_owned(), name: scope.name().to_owned() };
    let rows: Vec<bool> = statement.load(connection).await?;
    Ok(rows.contains(&true))
}

statement! {
    /// The pauses in force beside the time, which comes in a row of its own where there are none. No time can be read
    /// back that lies after the year 9999: an end then is none, and infinity likewise.
    ReadPauses {} -> (Timestamptz, Nullable<(Text, Text, Nullable<Timestamptz>, Text, Text, Timestamptz)>) = "
        SELECT clock.now, c.scope, c.name, CASE WHEN c.until <= '9999-12-31Z' THEN c.until END, c.reason, c.paused_by,
            LEAST(GREATEST(c.paused_at, '0001-01-01Z'), '9999-12-31Z')
        FROM (SELECT now() AS now) AS clock
        LEFT JOIN controls c ON c.until IS NULL OR c.until > clock.now"
}

/// The pauses in force.
pub(super) async fn pauses(connection: &mut Session) -> Result<Pauses, Failure> {
    let rows: Vec<(OffsetDateTime, Option<Row>)> = ReadPauses {}.load(connection).await?;
    // Never the other branch: the time's row is there without any pause.
    let now = rows.as_slice().first().map_or(OffsetDateTime::UNIX_EPOCH, |row| row.0);
    let in_force = rows.into_iter().filter_map(|(_, row)| row.map(read));
    let mut in_force: Vec<Pause> = in_force.filter_map(|row| unreadable::left_out("controls", row)).collect();
    in_force.sort_by(|one, other| one.scope.cmp(&other.scope));
    Ok(Pauses { now, in_force })
}

fn read(row: Row) -> Result<Pause, StoreError> {
    let (scope, name, until, reason, by, at) = row;
    Ok(Pause { scope: pause::scope(&scope, &name)?, until, reason, by, at })
}

statement! {
    /// Drops pauses that are over.
    PrunePauses {} -> Bool = "DELETE FROM controls WHERE until <= now()"
}

/// Drops pauses that are over.
pub(super) async fn prune(connection: &mut Session) -> Result<(), Failure> {
    PrunePauses {}.execute(connection).await?;
    Ok(())
}
