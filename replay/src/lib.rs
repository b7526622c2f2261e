//! Property tests that can be replayed: a failing test prints the command that runs it again with its seed.
//!
//! ```
//! use proptest::prelude::*;
//!
//! proptest! {
//!     #![proptest_config(replay::with_cases(64))]
//!
//!     fn a_sum_does_not_depend_on_the_order(a in 0..1_000, b in 0..1_000) {
//!         prop_assert_eq!(a + b, b + a);
//!     }
//! }
//! # a_sum_does_not_depend_on_the_order();
//! ```

use std::hash::{BuildHasher as _, RandomState};

use proptest::test_runner::{Config, RngSeed};

/// The environment variable from which proptest takes a seed in place of that of the configuration.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Returns proptest's defaults with a seed for the test that runs on this thread, and prints the command that replays
/// it. The test harness captures what a test prints, and shows it only if the test fails.
#[must_use]
pub fn defaults() -> Config {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("{}", command(seed));
    Config {
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    }
}

/// As [`defaults`], with so many cases.
#[must_use]
pub fn with_cases(cases: u32) -> Config {
    Config {
        cases,
        ..defaults()
    }
}

fn command(seed: u64) -> String {
    // Cargo sets it for the tests that it runs.
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "undertone".into());
    // The harness names the thread of a test after it.
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or("");
    format!("replay with: {SEED}={seed} cargo test -p {package} {test}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_seed_package_and_test() {
        assert_eq!(
            command(7),
            "replay with: PROPTEST_RNG_SEED=7 cargo test -p replay \
             tests::the_command_names_seed_package_and_test"
        );
    }
}
