//! The front end's parameters, as a bundle's manifest carries them.
//!
//! Most are fixed by the contract between trainer and server; they stand in the manifest so that
//! a bundle made for another front end is refused by name instead of heard wrongly.

use serde::{Deserialize, Serialize};

use super::{
    BINS, Band, FRAME_HOP, FRAME_LENGTH, LEFTOVER_FRAMES, NarrowBand, POWER_FLOOR, SAMPLE_RATE,
    SEGMENT_FRAMES,
};

/// The analysis window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// w\[i\] = 0.54 − 0.46·cos(2πi / N), N = 256: the periodic form.
    HammingPeriodic,
}

/// How a lane's level and colour are taken out while it is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneNormalisation {
    /// The training set's statistics only.
    #[default]
    None,
}

/// Parameters of the front end; see the module for what is computed from them.
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
    /// Normalised values are clipped to ± this.
    pub clip: f32,
    /// Running normalisation of a lane.
    #[serde(default)]
    pub lane_normalisation: LaneNormalisation,
    /// What is heard in the bins that a narrow-band source cannot fill; the floor in bundles that do
    /// not say.
    #[serde(default)]
    pub narrow_band: NarrowBand,
    /// Mean of each bin's log power over the training set, `[129]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each bin's log power over the training set, `[129]`.
    pub deviation: Vec<f32>,
}

/// Why a [`Spec`] cannot be computed by this front end.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SpecError {
    /// A parameter that the contract fixes has another value.
    #[error("front end `{field}` is {found}; this version computes {expected} only")]
    Fixed {
        /// The parameter's name in the manifest.
        field: &'static str,
        /// Its value there.
        found: String,
        /// The value that the contract fixes.
        expected: String,
    },
    /// The segment hop would skip frames or never advance.
    #[error("front end `segment_hop` is {0} frames; 1 to {SEGMENT_FRAMES} are possible")]
    SegmentHop(usize),
    /// A statistic does not have one value a bin.
    #[error("front end `{field}` has {found} values; one for each of the {BINS} bins is needed")]
    Bins {
        /// `mean` or `deviation`.
        field: &'static str,
        /// How many values it has.
        found: usize,
    },
    /// A statistic or the clip is not finite, or a divisor is not positive.
    #[error("front end `{field}` holds {value}, which cannot normalise anything")]
    Value {
        /// The parameter's name in the manifest.
        field: &'static str,
        /// The offending value.
        value: f32,
    },
}

impl Spec {
    /// The contract's front end with a training set's statistics, each `[129]` in ln power.
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

    /// Says whether this front end can compute the spec.
    ///
    /// # Errors
    /// The first parameter that it cannot honour.
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

    /// First sample of the segment `index` of a lane of `samples` samples: every hop, but for a
    /// right-aligned last one.
    #[must_use]
    pub fn segment_start(&self, index: usize, samples: usize) -> usize {
        let frames = samples.saturating_sub(FRAME_LENGTH) / FRAME_HOP + 1;
        (index * self.segment_hop).min(frames.saturating_sub(SEGMENT_FRAMES)) * FRAME_HOP
    }

    /// How many segments a lane of `samples` samples has.
    #[must_use]
    pub fn segments(&self, samples: usize) -> usize {
        let frames = samples.saturating_sub(FRAME_LENGTH) / FRAME_HOP + 1;
        let Some(after_first) = frames.checked_sub(SEGMENT_FRAMES) else {
            return 1;
        };
        let left = after_first % self.segment_hop;
        1 + after_first / self.segment_hop + usize::from(left >= LEFTOVER_FRAMES)
    }

    /// Normalises one raw frame `[129]` of a source of this band in place: mean, deviation, clip, and
    /// what `narrow_band` says of the bins above.
    pub fn normalise(&self, frame: &mut [f32], band: Band) {
        let heard = match self.narrow_band {
            NarrowBand::AsIs => BINS,
            NarrowBand::Mean => band.bins(),
        };
        let (heard, empty) = frame.split_at_mut(heard.min(frame.len()));
        for ((value, mean), deviation) in heard.iter_mut().zip(&self.mean).zip(&self.deviation) {
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
    fn what_this_front_end_cannot_compute_is_refused_by_name() {
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
        fn a_narrow_band_sets_what_it_cannot_hold_to_the_mean_and_leaves_the_rest(
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
            let (heard, empty) = narrow.split_at(band.bins());
            prop_assert_eq!(heard, &wide[..band.bins()]);
            prop_assert!(empty.iter().all(|&value| value == 0.0));
        }
    }
}
