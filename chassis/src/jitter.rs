//! Chance in pauses, so that many who failed or began together do not come back together.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::time::Duration;

/// A time between these shares of `pause`, as `0.5..1.0`.
pub fn jittered(pause: Duration, shares: Range<f64>) -> Duration {
    // Each of the standard library's hash states starts from random keys.
    let random = RandomState::new().hash_one(()) % 1024;
    #[expect(clippy::cast_precision_loss, reason = "below 1024")]
    let share = shares.start + (shares.end - shares.start) * random as f64 / 1024.0;
    pause.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_pause_is_anywhere_within_its_shares() {
        let pause = Duration::from_secs(1);
        let times: BTreeSet<_> = (0..100).map(|_| jittered(pause, 0.5..1.5)).collect();
        assert!(times.len() > 50, "{times:?}");
        assert!(times.iter().all(|time| (pause / 2..pause * 3 / 2).contains(time)), "{times:?}");
    }
}
