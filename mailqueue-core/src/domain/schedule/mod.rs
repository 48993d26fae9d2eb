//! The time at which a message is to be sent, as it was asked for.

mod english;
mod parse;
mod zone;

pub use parse::ScheduleError;
pub use zone::Zone;

use serde::{Serialize, Serializer};
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime, Time, Weekday};

/// The time at which a message is to be sent: an instant, or words that mean one as soon as it is known what time it is.
///
/// Read from RFC 3339 (`2030-01-31T08:00:00-03:00`) or from English in this grammar, in any case:
///
/// ```text
/// schedule = "now" | "in" span {["and"] span} | span {["and"] span} "from now"
///          | day ["at"] clock [zone] | ["at"] clock [zone] day
/// span     = count unit
/// count    = 1..9999 | "a" | "an" | "one" .. "ten"
/// unit     = seconds | minutes | hours | days | weeks       singular, plural, or shortened: s sec m min h hr d w
/// day      = "today" | "tomorrow" | ["on" | "this"] weekday | "next" weekday
/// clock    = 1..12 [":" mm] ("am" | "pm") | hh ":" mm | "noon"
/// zone     = "UTC" | "GMT" | ["UTC" | "GMT"] ("+" | "-") hh [":" mm]
///          | "EST" | "EDT" | "CST" | "CDT" | "MST" | "MDT" | "PST" | "PDT"   as RFC 5322 has them
///          | "ET" | "CT" | "MT" | "PT"                      New York, Chicago, Denver, Los Angeles
///          | area "/" place                                 as the IANA database has them: Europe/Lisbon
/// ```
///
/// Without a zone UTC is meant. A weekday is the next one whose time has not passed yet; with "next" it is never today.
/// Whatever could mean two things is not read: a day without a time, "midnight", and months (which differ in length).
///
/// ```
/// use mailqueue_core::domain::schedule::Schedule;
/// use time::macros::datetime;
///
/// let friday: Schedule = "Friday at 3pm ET".parse()?;
/// assert_eq!(friday.at(datetime!(2030-01-01 12:00 UTC)), Some(datetime!(2030-01-04 20:00 UTC)));
/// assert_eq!(friday.at(datetime!(2030-07-01 12:00 UTC)), Some(datetime!(2030-07-05 19:00 UTC)));
/// # Ok::<(), mailqueue_core::domain::schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At an instant.
    At(OffsetDateTime),
    /// So long after it was submitted.
    In(Duration),
    /// At a time on a day that is named as seen from when it was submitted.
    On(Day, Time, Zone),
}

/// A day as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// This day.
    Today,
    /// The day after.
    Tomorrow,
    /// The next such day, today included while its time has not passed.
    Coming(Weekday),
    /// The next such day after today.
    Next(Weekday),
}

impl Schedule {
    /// The instant that is meant when it is `now`; `None` where the calendar ends.
    #[must_use]
    pub fn at(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::At(at) => Some(*at),
            Self::In(span) => now.checked_add(*span),
            Self::On(day, clock, zone) => {
                let date = day.date(zone.local(now)?, *clock)?;
                zone.instant(date.with_time(*clock))
            }
        }
    }
}

impl Day {
    fn date(self, here: PrimitiveDateTime, clock: Time) -> Option<Date> {
        let today = here.date();
        match self {
            Self::Today => Some(today),
            Self::Tomorrow => today.next_day(),
            Self::Coming(weekday) if today.weekday() == weekday && clock >= here.time() => Some(today),
            Self::Coming(weekday) | Self::Next(weekday) => (1..=7)
                .filter_map(|days| today.checked_add(Duration::days(days)))
                .find(|d| d.weekday() == weekday),
        }
    }
}

impl From<OffsetDateTime> for Schedule {
    fn from(at: OffsetDateTime) -> Self {
        Self::At(at)
    }
}

/// Takes part in a fingerprint as what was asked for: an instant whatever offset it was written with, and words as they
/// are, so that a repeat of "in 1 hour" is a repeat.
impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(at) => (at.unix_timestamp(), at.nanosecond()).serialize(serializer),
            Self::In(span) => ("in", span.whole_seconds()).serialize(serializer),
            Self::On(day, clock, zone) => (format!("{day:?}"), clock.as_hms(), zone).serialize(serializer),
        }
    }
}
