//! The times that a search names.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

/// A date (midnight UTC), a time with its zone, or an age such as `90s`, `2h` or `3d`.
pub(super) fn read(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let date = Date::parse(text, format_description!("[year]-[month]-[day]"));
    let date = date.map(|date| date.midnight().assume_utc());
    date.or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).ok().or_else(|| now.checked_sub(age(text)?))
}

fn age(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return None,
    };
    let number = number.parse::<u32>().ok()?;
    Some(Duration::seconds(i64::from(number) * seconds))
}
