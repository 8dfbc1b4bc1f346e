//! How long something that is switched on for a while may last. A day is the most: what somebody
//! forgets has ended by the next one.

use std::str::FromStr;
use std::time::Duration;

const LONGEST: Duration = Duration::from_hours(24);

/// More than nothing and at most 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(Duration);

/// Text that is no such duration.
#[derive(Debug, thiserror::Error)]
#[error("must be a duration such as \"15m\", more than 0s and at most 24h")]
pub struct InvalidPeriod;

impl Period {
    /// None for nothing at all, and for more than 24 hours.
    pub fn new(duration: Duration) -> Option<Self> {
        (!duration.is_zero() && duration <= LONGEST).then_some(Self(duration))
    }

    /// The longest that there is.
    pub fn longest() -> Self {
        Self(LONGEST)
    }

    /// Its length.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        humantime::parse_duration(text).ok().and_then(Self::new).ok_or(InvalidPeriod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_more_than_nothing_and_at_most_a_day() {
        for (text, seconds) in [("1s", 1), ("10m", 600), ("24h", 86_400), ("1day", 86_400)] {
            let period = text.parse::<Period>().ok();
            assert_eq!(period.map(Period::duration), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0s", "10", "soon", "-1s", "24h 1ns", "1000years"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
