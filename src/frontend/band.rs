//! The frequency band of a lane's source, and the values of the bins above it.
//!
//! The band follows from the rate at which the sound was sampled. It is therefore the same for any
//! chunking, and known before the first frame. A band that is measured from the sound would be neither
//! (docs/telephone.md has the measurement).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::contract::{BINS, SAMPLE_RATE};

/// Highest sample rate of a narrow-band source, in hertz: the rate of telephony.
pub const NARROW_RATE: u32 = 8_000;

/// The bins that a lane's source can fill. A narrower band compares as less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Band {
    bins: usize,
}

impl Band {
    /// All bins, 0 to 8 kHz.
    pub const WIDE: Self = Self { bins: BINS };

    /// Returns the band of a source that was sampled at `rate` Hz: 0 to rate / 2 for rates up to
    /// [`NARROW_RATE`], otherwise [`Band::WIDE`].
    #[must_use]
    pub const fn of_rate(rate: u32) -> Self {
        if rate > NARROW_RATE {
            return Self::WIDE;
        }
        // Bin k is at k · 16,000 / 256 Hz, so half the rate is at bin rate · 128 / 16,000.
        let last = rate as u64 * (BINS as u64 - 1) / SAMPLE_RATE as u64;
        Self {
            bins: last as usize + 1,
        }
    }

    /// Returns how many bins, from 0 Hz up, can contain sound. The others contain the power floor.
    #[must_use]
    pub const fn bins(self) -> usize {
        self.bins
    }

    /// Returns whether the highest bins contain no sound.
    #[must_use]
    pub const fn is_narrow(self) -> bool {
        self.bins < BINS
    }
}

/// Values of the bins that a narrow-band source cannot fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NarrowBand {
    /// The power floor, as if the speaker's voice had nothing at these frequencies.
    #[default]
    AsIs,
    /// The training set's mean, which is 0 after normalisation and stands for an unknown value.
    Mean,
}

impl NarrowBand {
    /// Returns the name in manifests and presets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsIs => "as-is",
            Self::Mean => "mean",
        }
    }
}

impl FromStr for NarrowBand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "as-is" => Ok(Self::AsIs),
            "mean" => Ok(Self::Mean),
            _ => Err(format!(
                "`{text}` is not a treatment of narrow bands; use `as-is` or `mean`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_source_fills_the_bins_up_to_half_its_rate() {
        for (rate, bins) in [
            (2_000, 17),
            (6_000, 49),
            (8_000, 65),
            (8_001, BINS),
            (11_025, BINS),
            (16_000, BINS),
            (48_000, BINS),
            (u32::MAX, BINS),
        ] {
            let band = Band::of_rate(rate);
            assert_eq!(band.bins(), bins, "{rate} Hz");
            assert_eq!(band.is_narrow(), rate <= NARROW_RATE, "{rate} Hz");
        }
    }
}
