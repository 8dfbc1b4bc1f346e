//! Properties that hold for all values: tried with made-up ones, the same at every run, with no file left behind.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Runs the test with 500 values, and tells the smallest that breaks it.
pub fn hold<S: Strategy>(values: S, test: impl Fn(S::Value)) {
    let seed = RngSeed::Fixed(20_261_128);
    let config =
        Config { cases: 500, failure_persistence: None, rng_seed: seed, ..Config::default() };
    let held = TestRunner::new(config).run(&values, |value| {
        test(value);
        Ok(())
    });
    assert!(held.is_ok(), "{held:?}");
}
