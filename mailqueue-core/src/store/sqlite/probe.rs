//! Proof that the file takes writes.

use diesel::prelude::*;

use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::time;
use crate::contracts::store::{Probe, StoreError};

const PROBE: &str = "INSERT INTO store_probes (prober, written_at) VALUES (0, ?)
    ON CONFLICT (prober) DO UPDATE SET written_at = excluded.written_at";

/// Writes a row and returns the time, with `has_space` as given.
pub(super) fn probe(transaction: &mut Transaction<'_>, has_space: bool) -> Result<Probe, StoreError> {
    sql!(PROBE, transaction.now).execute(transaction.connection).map_err(outcome)?;
    Ok(Probe { now: time(transaction.now)?, has_space })
}
