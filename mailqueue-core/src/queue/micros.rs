//! Due times as whole microseconds, the precision in which queues keep and order them.

use time::OffsetDateTime;

/// Microseconds since 1970, rounded down.
pub(super) fn from_time(time: OffsetDateTime) -> i64 {
    let micros = time.unix_timestamp_nanos().div_euclid(1_000);
    // A time of four-digit years always fits; the other branch is there so that nothing can panic.
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// The time so many microseconds after 1970; `None` when it lies outside the years that a time can name.
pub(super) fn to_time(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_comes_back_to_the_microsecond() {
        let time = datetime!(2026-11-23 20:13:14.123456789 UTC);
        assert_eq!(to_time(from_time(time)), Some(datetime!(2026-11-23 20:13:14.123456 UTC)));
    }

    #[test]
    fn a_time_before_1970_is_rounded_down() {
        let time = datetime!(1969-12-31 23:59:59.999999999 UTC);
        assert_eq!(from_time(time), -1);
    }

    #[test]
    fn the_offset_does_not_count() {
        assert_eq!(from_time(datetime!(2026-01-01 1:00 +1)), from_time(datetime!(2026-01-01 0:00 UTC)));
    }

    #[test]
    fn a_number_that_no_time_can_name_is_none() {
        assert_eq!(to_time(i64::MAX), None);
        assert_eq!(to_time(i64::MIN), None);
    }
}
