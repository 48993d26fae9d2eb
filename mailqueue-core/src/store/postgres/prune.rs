//! Retention: content and records that are old enough are deleted.

use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;

use super::super::microseconds;
use super::error::Failure;
use super::probe;
use super::session::Session;
use super::statement::{rows, statement};
use crate::contracts::store::{Pruned, Retention};

statement! {
    /// Takes the content of old messages away.
    PruneContent { age: BigInt => i64, limit: BigInt => i64 } -> Bool = "
        WITH old AS (
            SELECT email_id FROM deliveries
            WHERE has_content AND finished_at < now() - ? * interval '1 microsecond'
            ORDER BY finished_at LIMIT ?
            FOR UPDATE SKIP LOCKED
        ), emptied AS (
            UPDATE emails SET raw = NULL, body_text = NULL, body_html = NULL, line_ends = NULL
            WHERE id IN (SELECT email_id FROM old)
        )
        UPDATE deliveries SET has_content = false WHERE email_id IN (SELECT email_id FROM old)"
}

statement! {
    /// Forgets old messages; their deliveries go with them. Tells how many, and how many still had their content.
    PruneRecords { age: BigInt => i64, limit: BigInt => i64 } -> (BigInt, BigInt) = "
        WITH old AS (
            SELECT email_id, has_content FROM deliveries
            WHERE finished_at < now() - ? * interval '1 microsecond'
            ORDER BY finished_at LIMIT ?
            FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM emails WHERE id IN (SELECT email_id FROM old)
        )
        SELECT count(*), count(*) FILTER (WHERE has_content) FROM old"
}

statement! {
    /// Forgets keys that have run out.
    PruneKeys { limit: BigInt => i64 } -> Bool = "
        DELETE FROM idempotency_keys WHERE (tenant, key) IN (
            SELECT tenant, key FROM idempotency_keys WHERE expires_at < now() LIMIT ? FOR UPDATE SKIP LOCKED
        )"
}

/// Forgets what is older than `retention` says.
pub(super) async fn prune(
    connection: &mut Session,
    retention: Retention,
    limit: usize,
) -> Result<Pruned, Failure> {
    let limit = rows(limit);
    let mut pruned = Pruned::default();
    // Otherwise content goes with its record, and emptying it first would write every row twice.
    if retention.content < retention.record {
        let statement = PruneContent { age: microseconds::of(retention.content), limit };
        pruned.contents = statement.execute(connection).await? as u64;
    }
    let statement = PruneRecords { age: microseconds::of(retention.record), limit };
    // No transaction around the steps: the part that is deleted stays deleted if a later one fails.
    let (records, contents): (i64, i64) = statement.get_result(connection).await?;
    pruned.records = records.unsigned_abs();
    pruned.contents += contents.unsigned_abs();
    pruned.keys = PruneKeys { limit }.execute(connection).await? as u64;
    probe::prune(connection).await?;
    Ok(pruned)
}
