//! Augmentation of training crops: speed, voice, level, noise, channel, and masks.
//!
//! Input and output are raw frames `[F, 129]` in ln power; the masks work on normalised frames. All random
//! numbers come from the caller's generator.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::frontend::{BINS, Band, NARROW_RATE, POWER_FLOOR, SEGMENT_FRAMES};

use crate::preset::Augment;

/// Width of a bin in hertz.
const BIN_HERTZ: f32 = 62.5;
/// The telephone band in hertz.
const TELEPHONE: [f32; 2] = [300.0, 3_400.0];
/// Signal to quantisation noise of G.711 in dB. Logarithmic companding to 8 bits leaves 38.1 dB for
/// µ-law and 38.2 for A-law (6.02 · 8 + 4.77 − 20 lg ln(1 + µ)); on the speech in `tests/audio` the
/// standard's segments leave 36.5 to 37.3 and 36.7 to 37.5.
const COMPANDED_DECIBELS: f32 = 37.0;
/// Length of the table of noise; each crop reads it from a random place on.
const NOISE_TABLE: usize = 1 << 16;

impl Augment {
    /// Draws a speed at which `frames` still fill a segment.
    pub(crate) fn speed(&self, frames: usize, rng: &mut StdRng) -> f32 {
        let Self {
            speed, speed_range, ..
        } = *self;
        if !chance(speed, rng) {
            return 1.0;
        }
        let speed = 1.0 + symmetric(speed_range, rng);
        if speed > 0.0 && frames_at_speed(frames, speed) >= SEGMENT_FRAMES {
            speed
        } else {
            1.0
        }
    }

    /// Draws the factor of a frequency warp.
    pub(crate) fn warp(&self, rng: &mut StdRng) -> f32 {
        let Self {
            warp, warp_range, ..
        } = *self;
        if chance(warp, rng) {
            1.0 + symmetric(warp_range, rng)
        } else {
            1.0
        }
    }

    /// Changes level, noise and channel of raw frames; returns the band that remains.
    pub(crate) fn colour(
        &self,
        frames: &mut [f32],
        band: Band,
        noise: &Noise,
        rng: &mut StdRng,
    ) -> Band {
        if self.gain_db > 0.0 {
            let decibels = symmetric(self.gain_db, rng);
            amplify(frames, decibels * std::f32::consts::LN_10 / 10.0);
        }
        if chance(self.noise, rng) {
            let [low, high] = self.noise_snr_db;
            let ratio = low + (high - low) * rng.random::<f32>();
            let level = mean_power(frames).ln() - ratio * std::f32::consts::LN_10 / 10.0;
            let start = rng.random_range(0..NOISE_TABLE);
            noise.add(frames, level, start);
        }
        if !chance(self.telephone, rng) {
            return band;
        }
        let band = band.min(Band::of_rate(NARROW_RATE));
        let floor = POWER_FLOOR.ln();
        let [low, high] = TELEPHONE;
        let low = (low / BIN_HERTZ).ceil() as usize;
        let high = (high / BIN_HERTZ).floor() as usize;
        for frame in frames.chunks_exact_mut(BINS) {
            frame[..low].fill(floor);
            frame[high + 1..].fill(floor);
        }
        // No random number is drawn if it is off, so that runs with older presets keep their batches.
        if self.companding > 0.0 && chance(self.companding, rng) {
            let start = rng.random_range(0..NOISE_TABLE);
            compand(frames, band.bins(), noise, start);
        }
        band
    }

    /// Sets masks over time and frequency of normalised frames to the mean.
    pub(crate) fn mask(&self, frames: &mut [f32], rng: &mut StdRng) {
        let total = frames.len() / BINS;
        for _ in 0..self.time_masks {
            // A mask covers at most a fifth of a short crop.
            let width = rng.random_range(0..=self.time_mask_frames.min(total / 5));
            let start = rng.random_range(0..=total - width);
            frames[start * BINS..(start + width) * BINS].fill(0.0);
        }
        for _ in 0..self.frequency_masks {
            let width = rng.random_range(0..=self.frequency_mask_bins.min(BINS));
            let start = rng.random_range(0..=BINS - width);
            for frame in frames.chunks_exact_mut(BINS) {
                frame[start..start + width].fill(0.0);
            }
        }
    }
}

/// White noise in a spectrogram: ln of exponentially distributed powers of mean 1.
pub(crate) struct Noise(Vec<f32>);

impl Noise {
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let power = |rng: &mut StdRng| -(1.0 - rng.random::<f32>()).ln();
        Self(
            (0..NOISE_TABLE)
                .map(|_| power(&mut rng).max(f32::MIN_POSITIVE).ln())
                .collect(),
        )
    }

    /// Adds white noise of mean power exp(`level`) per bin, read from the table at `start` on.
    fn add(&self, frames: &mut [f32], level: f32, start: usize) {
        // Frames start 136 entries apart, so that the table's period is at another bin in each frame.
        for (number, frame) in frames.chunks_exact_mut(BINS).enumerate() {
            self.add_to(frame, level, start + number * (BINS + 7));
        }
    }

    fn add_to(&self, values: &mut [f32], level: f32, start: usize) {
        for (place, value) in (start..).zip(values) {
            let noise = level + self.0[place % NOISE_TABLE];
            let difference = noise - *value;
            // If one is ten or more nats below the other, it adds less than 5e−5.
            if difference > 10.0 {
                *value = noise;
            } else if difference > -10.0 {
                // `ln_1p` would be more exact than f32 can store here, and takes twice the time.
                *value += (1.0 + difference.exp()).ln();
            }
        }
    }
}

/// Adds the noise of companding to 8 bits to the first `bins`, up to half the line's rate: white noise at
/// a fixed distance below each frame's power. The line's filter is before the coder, so the noise is also
/// below and above the pass band.
///
/// Companding is not linear and cannot be computed on a spectrogram, which has no phase. Its purpose is that
/// the noise follows the level (Jayant & Noll, Digital Coding of Waveforms, 1984, chapter 5), and this does
/// the same. Not modelled: below −40 dB of full scale the steps are coarser, 31 dB at −45.
fn compand(frames: &mut [f32], bins: usize, noise: &Noise, start: usize) {
    for (number, frame) in frames.chunks_exact_mut(BINS).enumerate() {
        let band = &mut frame[..bins];
        let power: f32 = band.iter().map(|value| value.exp()).sum();
        let below = COMPANDED_DECIBELS * std::f32::consts::LN_10 / 10.0;
        let level = (power / band.len() as f32).ln() - below;
        noise.add_to(band, level, start + number * (BINS + 7));
    }
}

/// Returns the number of frames after a change of speed.
pub(crate) fn frames_at_speed(frames: usize, speed: f32) -> usize {
    if speed == 1.0 {
        frames
    } else {
        ((frames - 1) as f32 / speed) as usize + 1
    }
}

/// Computes frames `start` to `start + length` of an utterance at another speed, with frequencies multiplied
/// by `warp`, by linear interpolation of ln power.
pub(crate) fn resample(
    frames: &[f32],
    start: usize,
    length: usize,
    speed: f32,
    warp: f32,
) -> Vec<f32> {
    let mut out = if speed == 1.0 {
        frames[start * BINS..][..length * BINS].to_vec()
    } else {
        let mut out = Vec::with_capacity(length * BINS);
        let last = frames.len() / BINS - 1;
        for frame in start..start + length {
            let place = frame as f32 * speed;
            let lower = (place as usize).min(last);
            let share = place - lower as f32;
            let a = &frames[lower * BINS..][..BINS];
            let b = &frames[(lower + 1).min(last) * BINS..][..BINS];
            out.extend(a.iter().zip(b).map(|(a, b)| a + (b - a) * share));
        }
        out
    };
    if warp != 1.0 {
        let table: [(usize, f32); BINS] = std::array::from_fn(|bin| {
            let place = (bin as f32 * warp).min((BINS - 1) as f32);
            let lower = (place as usize).min(BINS - 2);
            (lower, place - lower as f32)
        });
        let mut row = [0.0; BINS];
        for frame in out.chunks_exact_mut(BINS) {
            row.copy_from_slice(frame);
            for (value, &(lower, share)) in frame.iter_mut().zip(&table) {
                *value = row[lower] + (row[lower + 1] - row[lower]) * share;
            }
        }
    }
    out
}

/// Multiplies powers by exp(`gain`), except the floor that the front end adds.
fn amplify(frames: &mut [f32], gain: f32) {
    let floor = POWER_FLOOR.ln();
    // Where the power is twenty times the floor, shifting the logarithm is accurate to 5 %.
    let plain = floor + 3.0 - gain.min(0.0);
    let factor = gain.exp();
    for value in frames {
        *value = if *value > plain {
            *value + gain
        } else {
            ((value.exp() - POWER_FLOOR).max(0.0) * factor + POWER_FLOOR).ln()
        };
    }
}

/// Computes the mean power of a bin over `[F, 129]` ln powers, from every fourth frame.
fn mean_power(frames: &[f32]) -> f32 {
    let mut sum = 0.0;
    let mut count = 0usize;
    for frame in frames.chunks_exact(BINS).step_by(4) {
        sum += frame.iter().map(|value| value.exp()).sum::<f32>();
        count += BINS;
    }
    (sum / count.max(1) as f32).max(POWER_FLOOR)
}

pub(crate) fn chance(probability: f32, rng: &mut StdRng) -> bool {
    rng.random::<f32>() < probability
}

/// Draws uniformly from ± `range`.
fn symmetric(range: f32, rng: &mut StdRng) -> f32 {
    range * (2.0 * rng.random::<f32>() - 1.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use undertone::frontend::Analyser;

    use super::*;

    /// Samples of a different synthetic sound for each utterance.
    pub(crate) fn sound(seed: usize, samples: usize) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(seed as u64);
        (0..samples)
            .map(|i| {
                let swell = (i as f32 * 3e-4).sin();
                swell * (0.3 * (i as f32 * i as f32 * 1e-6).sin() + 0.05 * rng.random::<f32>())
            })
            .collect()
    }

    /// Computes the raw frames `[F, 129]` of samples.
    pub(crate) fn frames_of(samples: &[f32]) -> Vec<f32> {
        let mut frames = Vec::new();
        Analyser::new().push(samples, &mut frames);
        frames
    }

    /// Frames with values that grow linearly in time and over the bins.
    fn ramp(frames: usize) -> Vec<f32> {
        (0..frames * BINS)
            .map(|i| -20.0 + (i / BINS) as f32 * 1e-3 + (i % BINS) as f32 * 0.1)
            .collect()
    }

    #[test]
    fn gain_changes_the_level_of_sound_and_leaves_silence_unchanged() {
        let quiet = sound(2, 8_000).iter().map(|s| s * 0.01).collect::<Vec<_>>();
        for gain in [-2.0f32, -0.5, 0.5, 2.0] {
            let mut moved = frames_of(&quiet);
            amplify(&mut moved, gain);
            let louder: Vec<f32> = quiet.iter().map(|s| s * (gain / 2.0).exp()).collect();
            for (moved, truth) in moved.iter().zip(frames_of(&louder)) {
                assert!((moved - truth).abs() < 0.05, "{moved} {truth}");
            }
        }
        let mut silence = frames_of(&[0.0; 4_224]);
        let before = silence.clone();
        amplify(&mut silence, 2.0);
        assert!(
            silence
                .iter()
                .zip(&before)
                .all(|(a, b)| (a - b).abs() < 1e-3)
        );
    }

    #[test]
    fn noise_comes_at_the_ratio_asked_for() {
        let before = ramp(400);
        let augment = Augment {
            noise: 1.0,
            noise_snr_db: [10.0, 10.0],
            ..Augment::none()
        };
        let mut frames = before.clone();
        let signal = mean_power(&frames);
        augment.colour(
            &mut frames,
            Band::WIDE,
            &Noise::new(),
            &mut StdRng::seed_from_u64(0),
        );
        let ratio = signal / (mean_power(&frames) - signal);
        assert!((9.0..11.0).contains(&ratio), "{ratio}");
        assert!(
            frames
                .iter()
                .zip(&before)
                .all(|(after, before)| after >= before)
        );
    }

    #[test]
    fn a_telephone_passes_its_band_only() {
        let before = ramp(40);
        let augment = Augment {
            telephone: 1.0,
            ..Augment::none()
        };
        let mut frames = before.clone();
        augment.colour(
            &mut frames,
            Band::WIDE,
            &Noise::new(),
            &mut StdRng::seed_from_u64(0),
        );
        for (frame, before) in frames.chunks_exact(BINS).zip(before.chunks_exact(BINS)) {
            for bin in 0..BINS {
                let hertz = bin as f32 * BIN_HERTZ;
                if (300.0..=3_400.0).contains(&hertz) {
                    assert_eq!(frame[bin], before[bin]);
                } else {
                    assert!((frame[bin] + 23.03).abs() < 0.01);
                }
            }
        }
    }

    /// µ-law of G.711: 14 bits to a sign, a segment and four bits, and back.
    fn through_mu_law(sample: f32) -> f32 {
        let magnitude = ((sample.abs() * 8_159.0) as u32).min(8_158) + 33;
        let segment = magnitude.ilog2() - 5;
        let step = 2 << segment;
        let decoded = magnitude / step * step + step / 2 - 33;
        (decoded as f32 / 8_159.0).copysign(sample)
    }

    #[test]
    fn companding_adds_as_much_noise_as_mu_law_does() {
        let mut rng = StdRng::seed_from_u64(4);
        // Similar to speech: moving harmonics, and noise.
        let samples: Vec<f32> = (0..16_000)
            .map(|i| {
                let time = i as f32 / 16_000.0;
                let voice: f32 = (3..20)
                    .map(|k| (k as f32 * time * (800.0 + 100.0 * time)).sin() / k as f32)
                    .sum();
                0.2 * voice + 0.002 * rng.random::<f32>()
            })
            .collect();
        let errors: Vec<f32> = samples.iter().map(|&s| through_mu_law(s) - s).collect();
        let square = |samples: &[f32]| samples.iter().map(|s| s * s).sum::<f32>();
        let truth = 10.0 * (square(&samples) / square(&errors)).log10();

        let before = frames_of(&samples);
        let mut after = before.clone();
        compand(&mut after, 65, &Noise::new(), 0);
        let power = |frames: &[f32]| -> f32 {
            let bands = frames.chunks_exact(BINS).map(|frame| &frame[..65]);
            bands.flatten().map(|value| value.exp()).sum()
        };
        let ours = 10.0 * (power(&before) / (power(&after) - power(&before))).log10();
        assert!((36.0..39.0).contains(&truth), "µ-law leaves {truth} dB");
        assert!(
            (ours - truth).abs() < 1.5,
            "{ours} dB; µ-law leaves {truth} dB"
        );
    }

    #[test]
    fn only_a_telephone_compands_and_its_noise_ends_at_half_its_rate() {
        let processed = |telephone, companding| {
            let augment = Augment {
                telephone,
                companding,
                ..Augment::none()
            };
            let mut frames = frames_of(&sound(3, 16_000));
            augment.colour(
                &mut frames,
                Band::WIDE,
                &Noise::new(),
                &mut StdRng::seed_from_u64(0),
            );
            frames
        };
        assert_eq!(processed(0.0, 1.0), processed(0.0, 0.0));
        let (plain, companded) = (processed(1.0, 0.0), processed(1.0, 1.0));
        for (plain, companded) in plain.chunks_exact(BINS).zip(companded.chunks_exact(BINS)) {
            assert_eq!(plain[65..], companded[65..]);
            assert_ne!(plain[..5], companded[..5]);
            assert_ne!(plain[55..65], companded[55..65]);
            assert!(
                plain
                    .iter()
                    .zip(companded)
                    .all(|(plain, companded)| companded >= plain)
            );
            assert_ne!(plain[5..55], companded[5..55]);
        }
    }

    #[test]
    fn warp_moves_a_tone_and_speed_shortens() {
        let frames = frames_of(
            &(0..16_000)
                .map(|i| (std::f32::consts::TAU * i as f32 / 8.0).sin())
                .collect::<Vec<_>>(),
        );
        let loudest = |frames: &[f32]| {
            let frame = &frames[..BINS];
            (0..BINS)
                .max_by(|&a, &b| frame[a].total_cmp(&frame[b]))
                .unwrap()
        };
        assert_eq!(loudest(&frames), 32);
        assert_eq!(loudest(&resample(&frames, 0, 40, 1.0, 1.1)), 29);
        assert_eq!(loudest(&resample(&frames, 0, 40, 1.0, 0.9)), 36);
        assert_eq!(frames_at_speed(111, 1.1), 101);
        let ramp = ramp(111);
        let fast = resample(&ramp, 0, 101, 1.1, 1.0);
        let step = fast[BINS] - fast[0];
        assert!((step - 1.1e-3).abs() < 1e-5, "{step}");
    }
}
