//! Times as SQLite keeps them: whole microseconds since 1970, UTC.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use time::OffsetDateTime;

use super::super::microseconds;
use super::statement::sql;
use crate::contracts::store::StoreError;

/// Microseconds since 1970.
pub(super) type Micros = i64;

/// The end of the year 9999, the last that a time can be read back from.
const MAX_TIME: Micros = 253_402_300_799_999_999;

/// SQLite's clock, which counts milliseconds.
// Rounded, since the product of a float can fall just below the whole number.
const NOW: &str = "SELECT CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000 AS now";

#[derive(QueryableByName)]
struct Now {
    #[diesel(sql_type = BigInt)]
    now: Micros,
}

/// The time by the database's clock. This is the only one there is: no decision asks this host's.
pub(super) fn now(connection: &mut SqliteConnection) -> QueryResult<Micros> {
    Ok(sql!(NOW).get_result::<Now>(connection)?.now)
}

/// A time as it is kept; what is finer than a microsecond is cut off.
pub(super) fn micros(time: OffsetDateTime) -> Micros {
    let micros = time.unix_timestamp_nanos().div_euclid(1000);
    // A time of the years ±9999 always fits.
    Micros::try_from(micros).unwrap_or(MAX_TIME)
}

/// A time as it was kept.
pub(super) fn time(micros: Micros) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .map_err(|_| StoreError::Unreadable("a time outside the years that can be written".into()))
}

/// The time `pause` after `from`, at the latest the end of the year 9999.
pub(super) fn later(from: Micros, pause: Duration) -> Micros {
    from.saturating_add(microseconds::of(pause)).min(MAX_TIME)
}

/// The time `pause` before `from`.
pub(super) fn earlier(from: Micros, pause: Duration) -> Micros {
    from.saturating_sub(microseconds::of(pause))
}

/// The time from `since` to `until`; zero when `since` lies ahead.
pub(super) fn between(since: Micros, until: Micros) -> Duration {
    microseconds::duration(until.saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diesel::Connection;
    use time::macros::datetime;

    use super::{MAX_TIME, between, earlier, later, micros, now, time};

    #[test]
    fn times_come_back_to_the_microsecond() {
        let at = datetime!(2026-11-23 08:09:10.123456789 UTC);
        assert_eq!(time(micros(at)).expect("a time"), datetime!(2026-11-23 08:09:10.123456 UTC));
        assert_eq!(
            time(micros(datetime!(1969-12-31 23:59:59.5 UTC))).expect("a time").nanosecond(),
            500_000_000
        );
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(later(1, Duration::MAX), MAX_TIME);
        assert!(time(later(1, Duration::MAX)).is_ok());
        assert_eq!(earlier(5, Duration::from_micros(2)), 3);
        assert_eq!(between(earlier(1, Duration::MAX), 1), Duration::from_micros(i64::MAX as u64 / 2));
        assert_eq!(between(2, 1), Duration::ZERO);
    }

    #[test]
    fn the_databases_clock_goes_with_the_hosts() {
        let connection = &mut diesel::SqliteConnection::establish(":memory:").expect("a database in memory");
        let host = micros(crate::domain::clock::Clock::new().now());
        let told = now(connection).expect("a time");
        assert!((host - told).abs() < 60_000_000, "{host} and {told}");
        assert_eq!(told % 1000, 0);
    }
}
