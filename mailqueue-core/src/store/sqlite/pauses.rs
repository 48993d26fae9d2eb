//! Pauses.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::super::{pause, unreadable};
use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::{Micros, later, time};
use crate::contracts::controls::{Pause, PauseRequest, Pauses};
use crate::contracts::store::StoreError;
use crate::domain::pause_scope::PauseScope;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    scope: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    until: Option<Micros>,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Text)]
    paused_by: String,
    #[diesel(sql_type = BigInt)]
    paused_at: Micros,
}

impl Row {
    fn read(self) -> Result<Pause, StoreError> {
        Ok(Pause {
            scope: pause::scope(&self.scope, &self.name)?,
            until: self.until.map(time).transpose()?,
            reason: self.reason,
            by: self.paused_by,
            at: time(self.paused_at)?,
        })
    }
}

const WRITE: &str =
    "INSERT INTO controls (scope, name, until, reason, paused_by, paused_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, name) DO UPDATE SET until = excluded.until, reason = excluded.reason,
        paused_by = excluded.paused_by, paused_at = excluded.paused_at
    RETURNING scope, name, until, reason, paused_by, paused_at";

/// Keeps a pause, instead of an earlier one of its scope.
pub(super) fn pause(transaction: &mut Transaction<'_>, request: &PauseRequest) -> Result<Pause, StoreError> {
    let until = request.length.map(|length| later(transaction.now, length));
    let row: Row = sql!(
        WRITE,
        request.scope.kind(),
        request.scope.name(),
        until,
        request.reason.as_str(),
        request.by.as_str(),
        transaction.now
    )
    .get_result(transaction.connection)
    .map_err(outcome)?;
    row.read()
}

const END: &str = "DELETE FROM controls WHERE scope = ? AND name = ?
    RETURNING scope, name, until, reason, paused_by, paused_at";

/// Ends the pause of a scope and tells whether it was in force.
pub(super) fn resume(transaction: &mut Transaction<'_>, scope: &PauseScope) -> Result<bool, StoreError> {
    let ended: Option<Row> = sql!(END, scope.kind(), scope.name())
        .get_result(transaction.connection)
        .optional()
        .map_err(outcome)?;
    Ok(ended.is_some_and(|row| row.until.is_none_or(|until| until > transaction.now)))
}

const IN_FORCE: &str = "SELECT scope, name, until, reason, paused_by, paused_at FROM controls
    WHERE until IS NULL OR until > ?";

/// The pauses in force.
pub(super) fn pauses(transaction: &mut Transaction<'_>) -> Result<Pauses, StoreError> {
    let rows: Vec<Row> = sql!(IN_FORCE, transaction.now).load(transaction.connection).map_err(outcome)?;
    let in_force = rows.into_iter().map(Row::read);
    let mut in_force: Vec<Pause> = in_force.filter_map(|row| unreadable::left_out("controls", row)).collect();
    in_force.sort_by(|one, other| one.scope.cmp(&other.scope));
    Ok(Pauses { now: time(transaction.now)?, in_force })
}

const PRUNE: &str = "DELETE FROM controls WHERE until <= ?";

/// Drops pauses that are over.
pub(super) fn prune(transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
    sql!(PRUNE, transaction.now).execute(transaction.connection).map(drop).map_err(outcome)
}
