//! Rates of requests.

mod limiter;

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use governor::Quota;

pub(crate) use limiter::{AddressLimiter, Limiter};

/// So many times in a second, a minute or an hour: as many at once, and then one by one as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    times: NonZeroU32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// More would be no limit, and a nanosecond is the finest step that is counted.
const MAX_TIMES: u32 = 1_000_000;

/// A text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a rate such as 100/s, 10/m or 1000/h, the number between 1 and {MAX_TIMES}")]
pub struct RateError;

impl Rate {
    /// So many a minute; of none, one.
    #[must_use]
    pub fn per_minute(times: u32) -> Self {
        Self { times: NonZeroU32::new(times.min(MAX_TIMES)).unwrap_or(NonZeroU32::MIN), unit: Unit::Minute }
    }

    fn quota(self) -> Quota {
        match self.unit {
            Unit::Second => Quota::per_second(self.times),
            Unit::Minute => Quota::per_minute(self.times),
            Unit::Hour => Quota::per_hour(self.times),
        }
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (times, unit) = text.split_once('/').ok_or(RateError)?;
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(RateError),
        };
        let times = times.parse().ok().filter(|times: &NonZeroU32| times.get() <= MAX_TIMES);
        Ok(Self { times: times.ok_or(RateError)?, unit })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for rate in ["1/s", "10/m", "1000000/h"] {
            assert_eq!(rate.parse::<Rate>().unwrap().to_string(), rate);
        }
        assert_eq!("10/m".parse(), Ok(Rate::per_minute(10)));
        for wrong in ["", "10", "0/s", "-1/s", "1000001/s", "10/d", "10/ m", "ten/m"] {
            assert_eq!(wrong.parse::<Rate>(), Err(RateError), "{wrong}");
        }
    }
}
