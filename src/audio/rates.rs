//! Sample rates: that of the lanes, those accepted from a source, and the one a recording was captured at.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Samples per second of every lane that leaves this module.
pub const SAMPLE_RATE: u32 = 16_000;

/// Accepted source rates in Hz. Nobody records speech below this range, and no recorder exceeds it.
pub(super) const SOURCE_RATES: RangeInclusive<u32> = 2_000..=768_000;

/// The [`Source::captured_rate`](super::Source::captured_rate) of a recording that is being decoded. Clones
/// share one value.
#[derive(Clone, Debug, Default)]
pub struct CapturedRate(Arc<AtomicU32>);

impl CapturedRate {
    pub(super) fn set(&self, rate: u32) {
        self.0.store(rate, Ordering::Release);
    }

    /// Returns the rate in Hz. It is set before the first samples are delivered.
    #[must_use]
    pub fn get(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Acquire)).filter(|rate| *rate > 0)
    }
}
