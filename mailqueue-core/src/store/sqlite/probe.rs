//! Proof that the file takes writes.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::error::outcome;
use super::job::Transaction;
use super::statement::sql;
use super::time::time;
use crate::contracts::store::{Probe, StoreError};

const PROBE: &str = "INSERT INTO store_probes (prober, written_at) VALUES (0, ?)
    ON CONFLICT (prober) DO UPDATE SET written_at = excluded.written_at";

const HAS_LAPSED: &str = "SELECT EXISTS (
    SELECT 1 FROM deliveries WHERE status = 'sending' AND lease_until < ?) AS has_lapsed_lease";

#[derive(QueryableByName)]
struct Lapsed {
    #[diesel(sql_type = Bool)]
    has_lapsed_lease: bool,
}

/// Writes a row and returns the time, with `has_space` as given.
pub(super) fn probe(transaction: &mut Transaction<'_>, has_space: bool) -> Result<Probe, StoreError> {
    sql!(PROBE, transaction.now).execute(transaction.connection).map_err(outcome)?;
    let lapsed: Lapsed =
        sql!(HAS_LAPSED, transaction.now).get_result(transaction.connection).map_err(outcome)?;
    Ok(Probe { now: time(transaction.now)?, has_space, has_lapsed_lease: lapsed.has_lapsed_lease })
}
