//! Reading a schedule from text.

use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Schedule, english};

/// The longest text that is read, in octets: no time needs more.
const MAX_TEXT_OCTETS: usize = 64;

/// The error for a text that no schedule is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a time with its zone such as 2030-01-31T08:00:00Z, or English such as `in 2 hours`, \
     `tomorrow at 9am` or `friday at 3pm Europe/Lisbon`"
)]
pub struct ScheduleError;

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A leap second is refused: no clock here knows one.
        let leap = text.get(17..19) == Some("60");
        if let Some(at) = OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| !leap) {
            return Ok(Self::At(at));
        }
        let words = Some(text).filter(|text| text.len() <= MAX_TEXT_OCTETS).and_then(english::read);
        words.ok_or(ScheduleError)
    }
}
