//! The clock of a place.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Serialize, Serializer};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// The offset of the clocks from UTC, fixed or by season.
///
/// The places and their rules are those of the IANA time zone database that was compiled in: the machine needs none, and
/// no name is ever taken for a path on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Fixed(UtcOffset),
    Place(TimeZone),
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self(Kind::Fixed(UtcOffset::UTC));

    /// The zone of a place as the IANA database names it, in any case: `Europe/Lisbon`, `America/Sao_Paulo`. `None`
    /// when there is no such place, and for names without an area such as `EST` or `Portugal`.
    #[must_use]
    pub fn of_place(name: &str) -> Option<Self> {
        if !name.contains('/') {
            return None;
        }
        TimeZoneDatabase::bundled().get(name).ok().map(|zone| Self(Kind::Place(zone)))
    }

    /// The local time at an instant.
    pub(super) fn local(&self, instant: OffsetDateTime) -> Option<PrimitiveDateTime> {
        let offset = match &self.0 {
            Kind::Fixed(offset) => *offset,
            Kind::Place(zone) => {
                let at = Timestamp::from_second(instant.unix_timestamp()).ok()?;
                UtcOffset::from_whole_seconds(zone.to_offset(at).seconds()).ok()?
            }
        };
        let here = instant.checked_to_offset(offset)?;
        Some(PrimitiveDateTime::new(here.date(), here.time()))
    }

    /// The instant at which the clocks show this: the first time if they do so twice, and where they pass over it, as much after they
    /// were put forward (RFC 5545 section 3.3.5).
    pub(super) fn instant(&self, local: PrimitiveDateTime) -> Option<OffsetDateTime> {
        match &self.0 {
            Kind::Fixed(offset) => Some(local.assume_offset(*offset)),
            Kind::Place(zone) => {
                let at = zone.to_ambiguous_timestamp(civil(local)?).compatible().ok()?;
                OffsetDateTime::from_unix_timestamp(at.as_second()).ok()
            }
        }
    }
}

/// The same date and time to the second, in the types of the crate that knows the places.
fn civil(local: PrimitiveDateTime) -> Option<DateTime> {
    let (date, (hour, minute, second)) = (local.date(), local.as_hms());
    let small = |n: u8| i8::try_from(n).ok();
    DateTime::new(
        i16::try_from(date.year()).ok()?,
        small(u8::from(date.month()))?,
        small(date.day())?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        0,
    )
    .ok()
}

impl From<UtcOffset> for Zone {
    fn from(offset: UtcOffset) -> Self {
        Self(Kind::Fixed(offset))
    }
}

/// The offset in seconds, or the name of the place.
impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Kind::Fixed(offset) => offset.whole_seconds().serialize(serializer),
            Kind::Place(zone) => zone.iana_name().serialize(serializer),
        }
    }
}
