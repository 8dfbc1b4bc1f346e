//! Durations and sizes: a number with a unit, written in the largest unit that fits exactly.

use super::{Raw, Value};
use crate::settings::{ByteSize, Toml};
use std::time::Duration;

/// A century: adding it to the present overflows no clock.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

impl Value for Duration {
    fn allowed() -> String {
        "a duration such as \"10s\"".to_owned()
    }

    fn read(raw: Raw<'_>) -> Option<Self> {
        let duration = humantime::parse_duration(raw.text()?).ok()?;
        (duration <= LONGEST).then_some(duration)
    }

    fn render(&self) -> Option<Toml> {
        /// In nanoseconds.
        const UNITS: [(u128, &str); 7] = [
            (86_400_000_000_000, "d"),
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
            (1, "ns"),
        ];
        Some(in_largest_unit(self.as_nanos(), &UNITS, "0s"))
    }
}

impl Value for ByteSize {
    fn allowed() -> String {
        "a size such as \"1MiB\"".to_owned()
    }

    fn read(raw: Raw<'_>) -> Option<Self> {
        let size: Self = raw.text()?.parse().ok()?;
        // The parser turns what is too large into the largest instead of refusing it.
        (size.as_u64() < u64::MAX).then_some(size)
    }

    fn render(&self) -> Option<Toml> {
        /// In bytes.
        const UNITS: [(u128, &str); 7] = [
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1_000_000, "MB"),
            (1 << 10, "KiB"),
            (1_000, "KB"),
            (1, "B"),
        ];
        Some(in_largest_unit(self.as_u64().into(), &UNITS, "0B"))
    }
}

/// The amount in the largest unit that leaves no remainder, so that reading it gives the same amount.
fn in_largest_unit(amount: u128, units: &[(u128, &str)], zero: &str) -> Toml {
    let fitting = units.iter().find(|(unit, _)| amount != 0 && amount.is_multiple_of(*unit));
    fitting
        .map_or_else(|| zero.to_owned(), |(unit, name)| format!("{}{name}", amount / unit))
        .into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn from_text<T: Value>(text: &str) -> Option<T> {
        T::read(Raw::Text(text))
    }

    fn rendered(value: &impl Value) -> String {
        value.render().unwrap().to_string()
    }

    #[test]
    fn a_duration_that_no_clock_can_add_is_refused() {
        for text in ["500000000000y", "101y"] {
            assert!(from_text::<Duration>(text).is_none(), "{text}");
        }
        assert!(from_text::<Duration>("99y").is_some());
    }

    #[test]
    fn durations_are_written_in_their_largest_whole_unit_and_read_back() {
        for text in
            ["10s", "250ms", "15m", "14d", "30d", "90s", "36h", "1500ms", "7us", "1ns", "0s"]
        {
            let duration: Duration = from_text(text).unwrap();
            assert_eq!(rendered(&duration), format!("{text:?}"));
        }
        assert_eq!(from_text("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(rendered(&Duration::from_hours(24)), "\"1d\"");
        assert_eq!(from_text::<Duration>("5"), None);
    }

    #[test]
    fn sizes_are_written_in_their_largest_whole_unit_and_read_back() {
        for text in ["1MiB", "64KiB", "3MB", "1025B", "2GiB", "0B"] {
            let size: ByteSize = from_text(text).unwrap();
            assert_eq!(rendered(&size), format!("{text:?}"));
        }
        assert_eq!(from_text("1.5 kib"), Some(ByteSize::b(1536)));
        assert_eq!(from_text::<ByteSize>("-1MiB"), None);
        assert_eq!(from_text::<ByteSize>("99999999999EiB"), None);
    }
}
