//! Counts of what was done.

use diesel::sql_types::{Array, BigInt, Bool, Text, Timestamptz};
use diesel_async::{AsyncConnection, RunQueryDsl};
use time::OffsetDateTime;

use super::super::{microseconds, traffic as key, unreadable};
use super::error::Failure;
use super::probe;
use super::session::Session;
use super::statement::statement;
use crate::contracts::controls::{
    Buckets, HistoryRetention, Traffic, TrafficCount, TrafficRange, TrafficStep,
};

statement! {
    /// Adds a count to its minute, bucket by bucket.
    AddTraffic {
        age: BigInt => i64,
        lane: Text => &'static str,
        outcome: Text => &'static str,
        reason: Text => &'static str,
        number: BigInt => i64,
        wait: Array<BigInt> => Vec<i64>,
        took: Array<BigInt> => Vec<i64>,
    } -> Bool = "
        INSERT INTO traffic AS t (minute, lane, outcome, reason, n, wait, took)
        VALUES (date_trunc('minute', now() - ? * interval '1 microsecond', 'UTC'), ?, ?, ?, ?, ?, ?)
        ON CONFLICT (minute, lane, outcome, reason) DO UPDATE SET n = t.n + EXCLUDED.n,
            wait = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(t.wait, EXCLUDED.wait) WITH ORDINALITY AS u (a, b, place)
                ORDER BY place),
            took = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(t.took, EXCLUDED.took) WITH ORDINALITY AS u (a, b, place)
                ORDER BY place)"
}

/// Adds counts, all or none.
pub(super) async fn add(connection: &mut Session, counts: Vec<TrafficCount>) -> Result<(), Failure> {
    connection
        .transaction(async move |connection| {
            for count in counts {
                let statement = AddTraffic {
                    age: microseconds::of(count.age),
                    lane: count.key.lane.as_str(),
                    outcome: count.key.outcome.as_str(),
                    reason: key::reason(&count.key),
                    number: i64::try_from(count.number).unwrap_or(i64::MAX),
                    wait: numbers(&count.wait),
                    took: numbers(&count.took),
                };
                statement.execute(connection).await?;
            }
            Ok(())
        })
        .await
}

fn numbers(buckets: &Buckets) -> Vec<i64> {
    buckets.numbers().iter().map(|&number| i64::try_from(number).unwrap_or(i64::MAX)).collect()
}

fn buckets(numbers: Vec<i64>) -> Buckets {
    Buckets::of(numbers.into_iter().map(i64::unsigned_abs))
}

statement! {
    /// The sums of the steps that begin at or after the one in which a time lies.
    ReadTraffic { step: BigInt => i64, back: BigInt => i64 } -> (
        Timestamptz, Text, Text, Text, BigInt, Array<BigInt>, Array<BigInt>,
    ) = "
        WITH asked AS (SELECT ? * 60 AS step, now() - ? * interval '1 microsecond' AS since), counted AS (
            SELECT to_timestamp(floor(extract(epoch FROM t.minute) / step)::bigint * step) AS start,
                t.lane, t.outcome, t.reason, t.n, t.wait, t.took
            FROM asked CROSS JOIN traffic t
            WHERE t.minute >= to_timestamp(floor(extract(epoch FROM since) / step)::bigint * step)
        ), summed AS (
            SELECT start, lane, outcome, reason, place, sum(n)::bigint AS n, coalesce(sum(w), 0)::bigint AS w, coalesce(sum(k), 0)::bigint AS k
            FROM counted CROSS JOIN unnest(wait, took) WITH ORDINALITY AS u (w, k, place)
            GROUP BY start, lane, outcome, reason, place
        )
        SELECT start, lane, outcome, reason, max(n), array_agg(w ORDER BY place), array_agg(k ORDER BY place)
        FROM summed GROUP BY start, lane, outcome, reason ORDER BY start"
}

type Row = (OffsetDateTime, String, String, String, i64, Vec<i64>, Vec<i64>);

/// The sums of a range.
pub(super) async fn traffic(connection: &mut Session, range: TrafficRange) -> Result<Traffic, Failure> {
    let statement = ReadTraffic { step: range.step_minutes(), back: microseconds::of(range.back) };
    let rows: Vec<Row> = statement.load(connection).await?;
    let now = probe::now(connection).await?;
    let mut steps = Vec::with_capacity(rows.len());
    for (start, lane, outcome, reason, number, wait, took) in rows {
        let key = key::key(&lane, &outcome, &reason);
        let Some(key) = unreadable::left_out("traffic", key) else { continue };
        let (number, wait, took) = (number.unsigned_abs(), buckets(wait), buckets(took));
        steps.push(TrafficStep { start, key, number, wait, took });
    }
    steps.sort_by_key(|step| (step.start, step.key));
    Ok(Traffic { now, steps })
}

statement! {
    /// Adds minutes that are old enough to their hours. The first minute of an hour stands for it, so it stays.
    FoldTraffic { age: BigInt => i64 } -> Bool = "
        WITH old AS (
            DELETE FROM traffic
            WHERE minute < date_trunc('hour', now() - ? * interval '1 microsecond', 'UTC')
                AND minute <> date_trunc('hour', minute, 'UTC')
            RETURNING date_trunc('hour', minute, 'UTC') AS hour, lane, outcome, reason, n, wait, took
        ), summed AS (
            SELECT hour, lane, outcome, reason, place, sum(n)::bigint AS n, coalesce(sum(w), 0)::bigint AS w, coalesce(sum(k), 0)::bigint AS k
            FROM old CROSS JOIN unnest(wait, took) WITH ORDINALITY AS u (w, k, place)
            GROUP BY hour, lane, outcome, reason, place
        )
        INSERT INTO traffic AS t (minute, lane, outcome, reason, n, wait, took)
        SELECT hour, lane, outcome, reason, max(n), array_agg(w ORDER BY place), array_agg(k ORDER BY place)
        FROM summed GROUP BY hour, lane, outcome, reason ORDER BY hour, lane, outcome, reason
        ON CONFLICT (minute, lane, outcome, reason) DO UPDATE SET n = t.n + EXCLUDED.n,
            wait = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(t.wait, EXCLUDED.wait) WITH ORDINALITY AS u (a, b, place)
                ORDER BY place),
            took = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(t.took, EXCLUDED.took) WITH ORDINALITY AS u (a, b, place)
                ORDER BY place)"
}

statement! {
    /// Drops counts that are too old.
    PruneTraffic { age: BigInt => i64 } -> Bool = "
        DELETE FROM traffic WHERE minute < now() - ? * interval '1 microsecond'"
}

/// Thins counts out.
pub(super) async fn prune(connection: &mut Session, retention: HistoryRetention) -> Result<(), Failure> {
    PruneTraffic { age: microseconds::of(retention.hours) }.execute(connection).await?;
    FoldTraffic { age: microseconds::of(retention.minutes) }.execute(connection).await?;
    Ok(())
}
