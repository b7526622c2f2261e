//! Positions in a lane as time.

use std::time::Duration;

use crate::frontend::SAMPLE_RATE;

/// Converts a number of samples at 16 kHz to time. The result is exact, because a sample is 62.5 µs.
pub(super) fn sample_time(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * (1_000_000_000 / u64::from(SAMPLE_RATE)))
}
