//! Times as the pages show them.

use serde::Serialize;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// A time, for people and for programs.
#[derive(Serialize)]
pub(super) struct Moment {
    /// The time in words that people read.
    shown: String,
    /// The time as programs read it (RFC 3339).
    exact: String,
    /// The name of the words that say how far away it is, with a place for the number.
    distance: &'static str,
    /// That number.
    n: String,
}

impl Moment {
    /// A time as it is seen from `now`.
    pub(super) fn of(time: OffsetDateTime, now: OffsetDateTime) -> Self {
        let time = time.to_offset(time::UtcOffset::UTC);
        let shown = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        let exact = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let (distance, n) = distance(time - now);
        Self {
            // Both descriptions only ask for what every time has.
            shown: time.format(shown).unwrap_or_default(),
            exact: time.format(exact).unwrap_or_default(),
            distance,
            n: n.to_string(),
        }
    }
}

/// The largest unit that fits, and how many of it; rounded down, so that nothing is promised too late.
fn distance(away: Duration) -> (&'static str, i64) {
    let (seconds, is_past) = (away.whole_seconds().abs(), away.is_negative());
    let (future, past, unit) = match seconds {
        0..=1 => return ("now", 0),
        2..60 => ("in_seconds", "seconds_ago", 1),
        60..3600 => ("in_minutes", "minutes_ago", 60),
        3600..172_800 => ("in_hours", "hours_ago", 3600),
        _ => ("in_days", "days_ago", 86_400),
    };
    (if is_past { past } else { future }, seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_has_the_largest_unit_that_fits() {
        let of = |seconds| distance(Duration::seconds(seconds));
        assert_eq!(of(1), ("now", 0));
        assert_eq!(of(59), ("in_seconds", 59));
        assert_eq!(of(-60), ("minutes_ago", 1));
        assert_eq!(of(7199), ("in_hours", 1));
        assert_eq!(of(-172_799), ("hours_ago", 47));
        assert_eq!(of(172_800), ("in_days", 2));
    }
}
