//! Space that is kept for results: given up when the disk is full, taken again when there is room.

use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

use super::error::Failure;
use super::session::Session;
use super::statement::statement;

/// How many rows a page of 8 KiB holds.
// A row of `space_reserve` takes some 516 octets: 480 of filler, its headers and its pointer.
const ROWS_PER_PAGE: u64 = 15;
const PAGE_OCTETS: u64 = 8192;

statement! {
    /// How large the reserve is, in octets; the space of rows that are gone counts.
    ReadSize {} -> BigInt = "SELECT pg_relation_size('space_reserve')"
}

statement! {
    /// Makes it larger.
    Fill { rows: BigInt => i64 } -> Bool = "INSERT INTO space_reserve SELECT '' FROM generate_series(1, ?)"
}

/// Makes the reserve `octets` large, if it is smaller.
///
/// # Errors
///
/// Among others that there is no space for it; what was taken before that was found out is part of the reserve.
pub(super) async fn keep(connection: &mut Session, octets: u64) -> Result<(), Failure> {
    // Without a lock, as the reserve is full nearly always.
    if size(connection).await? >= octets {
        return Ok(());
    }
    connection
        .transaction(async move |connection| {
            connection.batch_execute("LOCK TABLE space_reserve IN EXCLUSIVE MODE").await?;
            // Measured again: another process may have filled it while this one waited for the lock.
            let missing =
                octets.saturating_sub(size(connection).await?).div_ceil(PAGE_OCTETS) * ROWS_PER_PAGE;
            Fill { rows: i64::try_from(missing).unwrap_or(i64::MAX) }.execute(connection).await?;
            Ok(())
        })
        .await
}

/// Gives the reserve up. `false` when there was none.
pub(super) async fn release(connection: &mut Session) -> Result<bool, Failure> {
    if size(connection).await? == 0 {
        return Ok(false);
    }
    // DELETE would leave the file as large as it is, and needs space for the log of every row.
    connection.batch_execute("TRUNCATE space_reserve").await?;
    tracing::warn!(
        event = "store.reserve_given_up",
        "the space kept for results is given up: the database has no other left"
    );
    Ok(true)
}

async fn size(connection: &mut Session) -> Result<u64, Failure> {
    let size: i64 = ReadSize {}.get_result(connection).await?;
    Ok(size.unsigned_abs())
}
