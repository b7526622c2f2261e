//! How far up a lane's source reaches, and what is heard of the bins above.
//!
//! Told by the rate at which the sound was sampled, before anything is heard: exact for any chunking
//! and causal, which the content is not (docs/telephone.md has the measurement).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{BINS, SAMPLE_RATE};

/// Highest sample rate of a narrow-band source, in hertz: telephony's.
pub const NARROW_RATE: u32 = 8_000;

/// The bins that a lane's source can fill; the narrower, the less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Band {
    bins: usize,
}

impl Band {
    /// All bins, 0 to 8 kHz.
    pub const WIDE: Self = Self { bins: BINS };

    /// The band of a source sampled at `rate` Hz: up to half of it if that is [`NARROW_RATE`] or
    /// less, else [`Band::WIDE`].
    #[must_use]
    pub const fn of_rate(rate: u32) -> Self {
        if rate > NARROW_RATE {
            return Self::WIDE;
        }
        // Bin k lies at k · 16,000 / 256 Hz, and half the rate at bin rate · 128 / 16,000.
        let last = rate as u64 * (BINS as u64 - 1) / SAMPLE_RATE as u64;
        Self {
            bins: last as usize + 1,
        }
    }

    /// How many bins, from 0 Hz up, can hold sound; the others hold the floor.
    #[must_use]
    pub const fn bins(self) -> usize {
        self.bins
    }

    /// Whether bins are missing at the top.
    #[must_use]
    pub const fn is_narrow(self) -> bool {
        self.bins < BINS
    }
}

/// What a model hears in the bins that a narrow-band source cannot fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NarrowBand {
    /// The floor, as if the speaker's voice ended there.
    #[default]
    AsIs,
    /// The training set's mean, which is 0 after normalising: nothing known.
    Mean,
}

impl NarrowBand {
    /// The name in manifests and presets.
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
                "`{text}` is not a handling; `as-is` and `mean` are"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_fills_the_bins_up_to_half_its_rate() {
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
