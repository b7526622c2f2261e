//! How training crops are augmented; [`crate::train::augment`] does it.

use serde::{Deserialize, Serialize};

/// The steps of the augmentation, in this order: speed, warp, gain, noise, telephone, companding,
/// masks.
///
/// A probability of 0 switches a step off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Gain in dB, uniform in ± this, for every crop; 0 is off.
    pub gain_db: f32,
    /// Probability of another speed.
    pub speed: f32,
    /// Speed is uniform in 1 ± this.
    pub speed_range: f32,
    /// Probability of a frequency warp (vocal tract length).
    pub warp: f32,
    /// The warp's factor is uniform in 1 ± this.
    pub warp_range: f32,
    /// Probability of white noise.
    pub noise: f32,
    /// Signal-to-noise ratio in dB, uniform between these.
    pub noise_snr_db: [f32; 2],
    /// Probability of the telephone band, 300 to 3 400 Hz; everything outside is set to the floor.
    pub telephone: f32,
    /// Probability that a crop with the telephone band also gets the noise of 8-bit µ-law or A-law at
    /// 8 kHz. The two laws do not differ at this precision.
    pub companding: f32,
    /// Number of masks over time.
    pub time_masks: usize,
    /// Longest time mask, in frames of 8 ms.
    pub time_mask_frames: usize,
    /// Number of masks over frequency.
    pub frequency_masks: usize,
    /// Widest frequency mask, in bins of 62.5 Hz.
    pub frequency_mask_bins: usize,
}

impl Default for Augment {
    /// Moderate changes of level, channel and voice, and masks, as the literature recommends for small
    /// corpora.
    fn default() -> Self {
        Self {
            gain_db: 12.0,
            speed: 0.5,
            speed_range: 0.1,
            warp: 0.5,
            warp_range: 0.1,
            noise: 0.3,
            noise_snr_db: [10.0, 40.0],
            telephone: 0.3,
            companding: 0.0,
            time_masks: 2,
            time_mask_frames: 24,
            frequency_masks: 2,
            frequency_mask_bins: 16,
        }
    }
}

impl Augment {
    /// Returns an augmentation that changes nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            gain_db: 0.0,
            speed: 0.0,
            warp: 0.0,
            noise: 0.0,
            telephone: 0.0,
            companding: 0.0,
            time_masks: 0,
            frequency_masks: 0,
            ..Self::default()
        }
    }
}
