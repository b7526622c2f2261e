//! The front end's parameters, as a bundle's manifest states them.
//!
//! The contract between trainer and server fixes most of them. They are in the manifest nevertheless, so
//! that a bundle for another front end is refused with the parameter's name instead of giving wrong
//! predictions.

use serde::{Deserialize, Serialize};

use super::band::{Band, NarrowBand};
use super::contract::{
    BINS, FRAME_HOP, FRAME_LENGTH, LEFTOVER_FRAMES, POWER_FLOOR, SAMPLE_RATE, SEGMENT_FRAMES,
};

/// The analysis window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// w\[i\] = 0.54 − 0.46·cos(2πi / N), N = 256: the periodic form.
    HammingPeriodic,
}

/// Running normalisation of a lane's level and spectral colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneNormalisation {
    /// None: the training set's statistics alone normalise the lane.
    #[default]
    None,
}

/// Parameters of the front end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Sample rate in hertz; 16 000.
    pub sample_rate: u32,
    /// Samples in a frame; 256.
    pub frame_length: usize,
    /// Samples from frame to frame; 128.
    pub frame_hop: usize,
    /// The analysis window.
    pub window: Window,
    /// Added to every power before the logarithm; 1e−10.
    pub power_floor: f32,
    /// Frames in a segment; 32.
    pub segment_frames: usize,
    /// Frames from segment to segment, 1 to 32; 16 is 128 ms.
    pub segment_hop: usize,
    /// Normalised values are clipped to ±clip.
    pub clip: f32,
    /// Running normalisation of a lane.
    #[serde(default)]
    pub lane_normalisation: LaneNormalisation,
    /// Values of the bins that a narrow-band source cannot fill. Without it, the power floor.
    #[serde(default)]
    pub narrow_band: NarrowBand,
    /// Mean of each bin's log power over the training set, `[129]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each bin's log power over the training set, `[129]`.
    pub deviation: Vec<f32>,
}

/// Why this front end cannot compute a [`Spec`].
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SpecError {
    /// A parameter differs from the value that the contract fixes.
    #[error("front end `{field}` is {found}; this version supports only {expected}")]
    Fixed {
        /// The parameter's name in the manifest.
        field: &'static str,
        /// Its value there.
        found: String,
        /// The value that the contract fixes.
        expected: String,
    },
    /// The segment hop skips frames or is 0.
    #[error("front end `segment_hop` is {0} frames; it must be 1 to {SEGMENT_FRAMES}")]
    SegmentHop(usize),
    /// A statistic does not have one value for each bin.
    #[error("front end `{field}` has {found} values; one for each of the {BINS} bins is needed")]
    Bins {
        /// `mean` or `deviation`.
        field: &'static str,
        /// How many values it has.
        found: usize,
    },
    /// A statistic or the clip is not finite, or a divisor is not positive.
    #[error(
        "front end `{field}` contains {value}; values must be finite, and positive in `deviation` and `clip`"
    )]
    Value {
        /// The parameter's name in the manifest.
        field: &'static str,
        /// The value.
        value: f32,
    },
}

impl Spec {
    /// Returns the front end of the contract with a training set's statistics, each `[129]` in ln power.
    ///
    /// # Errors
    /// As [`Spec::check`].
    pub fn new(segment_hop: usize, mean: Vec<f32>, deviation: Vec<f32>) -> Result<Self, SpecError> {
        let spec = Self {
            sample_rate: SAMPLE_RATE,
            frame_length: FRAME_LENGTH,
            frame_hop: FRAME_HOP,
            window: Window::HammingPeriodic,
            power_floor: POWER_FLOOR,
            segment_frames: SEGMENT_FRAMES,
            segment_hop,
            clip: 5.0,
            lane_normalisation: LaneNormalisation::None,
            narrow_band: NarrowBand::AsIs,
            mean,
            deviation,
        };
        spec.check()?;
        Ok(spec)
    }

    /// Checks whether this front end can compute the spec.
    ///
    /// # Errors
    /// The first parameter that it does not support.
    pub fn check(&self) -> Result<(), SpecError> {
        fixed("sample_rate", &self.sample_rate, &SAMPLE_RATE)?;
        fixed("frame_length", &self.frame_length, &FRAME_LENGTH)?;
        fixed("frame_hop", &self.frame_hop, &FRAME_HOP)?;
        fixed("power_floor", &self.power_floor, &POWER_FLOOR)?;
        fixed("segment_frames", &self.segment_frames, &SEGMENT_FRAMES)?;
        if !(1..=SEGMENT_FRAMES).contains(&self.segment_hop) {
            return Err(SpecError::SegmentHop(self.segment_hop));
        }
        for (field, values) in [("mean", &self.mean), ("deviation", &self.deviation)] {
            if values.len() != BINS {
                return Err(SpecError::Bins {
                    field,
                    found: values.len(),
                });
            }
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                return Err(SpecError::Value { field, value });
            }
        }
        if let Some(&value) = self.deviation.iter().find(|value| **value <= 0.0) {
            return Err(SpecError::Value {
                field: "deviation",
                value,
            });
        }
        if !(self.clip.is_finite() && self.clip > 0.0) {
            return Err(SpecError::Value {
                field: "clip",
                value: self.clip,
            });
        }
        Ok(())
    }

    /// Returns the first sample of segment `index` of a lane of `samples` samples. Segments start every hop,
    /// except the last one, which may be right-aligned.
    #[must_use]
    pub fn segment_start(&self, index: usize, samples: usize) -> usize {
        let frames = samples.saturating_sub(FRAME_LENGTH) / FRAME_HOP + 1;
        (index * self.segment_hop).min(frames.saturating_sub(SEGMENT_FRAMES)) * FRAME_HOP
    }

    /// Returns how many segments a lane of `samples` samples has.
    #[must_use]
    pub fn segments(&self, samples: usize) -> usize {
        let frames = samples.saturating_sub(FRAME_LENGTH) / FRAME_HOP + 1;
        let Some(after_first) = frames.checked_sub(SEGMENT_FRAMES) else {
            return 1;
        };
        let left = after_first % self.segment_hop;
        1 + after_first / self.segment_hop + usize::from(left >= LEFTOVER_FRAMES)
    }

    /// Normalises one raw frame `[129]` in place: subtracts the mean, divides by the deviation, and clips. Sets
    /// the bins above `band` according to `narrow_band`.
    pub fn normalise(&self, frame: &mut [f32], band: Band) {
        let filled = match self.narrow_band {
            NarrowBand::AsIs => BINS,
            NarrowBand::Mean => band.bins(),
        };
        let (filled, empty) = frame.split_at_mut(filled.min(frame.len()));
        for ((value, mean), deviation) in filled.iter_mut().zip(&self.mean).zip(&self.deviation) {
            *value = ((*value - mean) / deviation).clamp(-self.clip, self.clip);
        }
        empty.fill(0.0);
    }
}

fn fixed<T: PartialEq + std::fmt::Display>(
    field: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), SpecError> {
    if found == expected {
        return Ok(());
    }
    Err(SpecError::Fixed {
        field,
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::SEGMENT_SAMPLES;
    use super::*;

    fn spec() -> Spec {
        Spec::new(16, vec![-10.0; BINS], vec![2.0; BINS]).unwrap()
    }

    #[test]
    fn an_unsupported_parameter_is_refused_by_name() {
        type Damage = fn(&mut Spec);
        let cases: [(&str, Damage); 6] = [
            ("sample_rate", |s| s.sample_rate = 8_000),
            ("segment_hop", |s| s.segment_hop = 33),
            ("mean", |s| s.mean.truncate(3)),
            ("mean", |s| s.mean[7] = f32::NAN),
            ("deviation", |s| s.deviation[0] = 0.0),
            ("clip", |s| s.clip = -1.0),
        ];
        for (name, damage) in cases {
            let mut spec = spec();
            damage(&mut spec);
            let error = spec.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn segments_start_every_hop_and_the_last_is_right_aligned() {
        let samples = SEGMENT_SAMPLES + 24 * FRAME_HOP + 5;
        let starts: Vec<_> = (0..3)
            .map(|index| spec().segment_start(index, samples))
            .collect();
        assert_eq!(starts, [0, 16 * FRAME_HOP, 24 * FRAME_HOP]);
        assert_eq!(spec().segment_start(0, 200), 0);
    }

    #[test]
    fn values_are_clipped_to_five_deviations() {
        let mut frame = vec![-10.0; BINS];
        frame[0] = 100.0;
        frame[1] = -8.0;
        frame[2] = -1e9;
        spec().normalise(&mut frame, Band::WIDE);
        assert_eq!(frame[..4], [5.0, 1.0, -5.0, 0.0]);
    }

    proptest! {
        #![proptest_config(replay::defaults())]

        #[test]
        fn the_bins_above_a_narrow_band_are_set_to_the_mean_and_the_others_are_kept(
            frame in vec(-23.0f32..0.0, BINS), rate in 2_000u32..48_000,
        ) {
            let band = Band::of_rate(rate);
            let normalised = |narrow_band, band| {
                let mut frame = frame.clone();
                Spec { narrow_band, ..spec() }.normalise(&mut frame, band);
                frame
            };
            let wide = normalised(NarrowBand::Mean, Band::WIDE);
            prop_assert_eq!(&normalised(NarrowBand::AsIs, band), &wide);
            let narrow = normalised(NarrowBand::Mean, band);
            let (filled, empty) = narrow.split_at(band.bins());
            prop_assert_eq!(filled, &wide[..band.bins()]);
            prop_assert!(empty.iter().all(|&value| value == 0.0));
        }
    }
}
