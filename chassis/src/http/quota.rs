//! A client's budget: how large it is, and what is left of it in the IETF's fields.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use poem::http::HeaderValue;

/// Longer ones do not fit into the limiter's nanoseconds, many times over.
const WINDOW_MAX: Duration = Duration::from_hours(365 * 24);

crate::text_value!(Rate, "a rate such as \"600/1m\"");

/// So many requests in so long, such as `600/1m`; all of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub(super) count: u32,
    window: Duration,
}

/// What is left of one client's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub(super) policy: &'static str,
    pub(super) rate: Rate,
    pub(super) remaining: u32,
    /// Until the budget is full again or, when it is spent, until the next request.
    pub(super) reset: Duration,
}

impl Rate {
    /// `count` requests a minute.
    pub const fn per_minute(count: u32) -> Self {
        Self { count, window: Duration::from_mins(1) }
    }

    pub(super) fn period(self) -> Duration {
        self.window / self.count
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (count, window) = text.split_once('/').ok_or("a slash is missing")?;
        let count =
            count.trim().parse::<NonZeroU32>().map_err(|_| "the count is not a positive number")?;
        let window =
            humantime::parse_duration(window.trim()).map_err(|_| "the window is not a duration")?;
        let rate = Self { count: count.get(), window };
        if window < Duration::from_secs(1) || rate.period().is_zero() {
            return Err("the window is too short");
        }
        if window > WINDOW_MAX {
            return Err("the window is longer than a year");
        }
        Ok(rate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, humantime::format_duration(self.window))
    }
}

impl Quota {
    /// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    pub fn policy_field(&self) -> Option<HeaderValue> {
        let field =
            format!("\"{}\";q={};w={}", self.policy, self.rate.count, self.rate.window.as_secs());
        HeaderValue::from_str(&field).ok()
    }

    /// `RateLimit` (the same draft).
    pub fn field(&self) -> Option<HeaderValue> {
        let field =
            format!("\"{}\";r={};t={}", self.policy, self.remaining, whole_seconds(self.reset));
        HeaderValue::from_str(&field).ok()
    }
}

/// Rounded up: a client that comes back a moment too early is refused again.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::testing::hold;

    #[test]
    fn a_rate_reads_as_it_is_written() {
        for text in ["600/1m", "20/1m", "5/1s", "1/1h"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn rates_that_allow_nothing_or_everything_are_refused() {
        for text in
            ["", "600", "0/1m", "-1/1m", "5/0s", "5/soon", "5/10ms", "4294967295/1s", "1/366days"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn whatever_is_a_rate_reads_as_it_is_written_and_divides() {
        hold("[0-9]{0,11}/[0-9]{0,4}(ms|s|m|h|days)|[ -~]{0,12}", |text| {
            if let Ok(rate) = text.parse::<Rate>() {
                assert_eq!(rate.to_string().parse(), Ok(rate));
                assert!(!rate.period().is_zero());
            }
        });
    }
}
