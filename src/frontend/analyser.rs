//! Samples to raw frames: window, 256-point real FFT, power, natural logarithm.
//!
//! Frame k covers samples \[128k, 128k + 256\), without padding, dither or pre-emphasis. The state is the
//! samples of the incomplete frame, so memory does not grow with the audio.

use std::sync::{Arc, LazyLock};

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::contract::{BINS, FRAME_HOP, FRAME_LENGTH, POWER_FLOOR};
use super::logarithm::logarithms;

/// Most samples that are added to the pending buffer at a time. It bounds the buffer for any chunk size.
const BLOCK: usize = 4_096;

/// Tables that every lane uses. They are computed once, because that takes as long as several frames.
struct Tables {
    fft: Arc<dyn RealToComplex<f32>>,
    window: [f32; FRAME_LENGTH],
    /// 1 / (Σw)², with which a full-scale sine has the power 0.25 for any window.
    scale: f32,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let window: [f32; FRAME_LENGTH] = std::array::from_fn(|i| {
        let turn = std::f64::consts::TAU * i as f64 / FRAME_LENGTH as f64;
        (0.54 - 0.46 * turn.cos()) as f32
    });
    let sum: f32 = window.iter().sum();
    Tables {
        fft: RealFftPlanner::new().plan_fft_forward(FRAME_LENGTH),
        window,
        scale: 1.0 / (sum * sum),
    }
});

/// Turns samples into raw log-power frames, incrementally.
pub struct Analyser {
    tables: &'static Tables,
    /// Samples from the start of the next frame.
    pending: Vec<f32>,
    windowed: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl std::fmt::Debug for Analyser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyser")
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl Default for Analyser {
    fn default() -> Self {
        Self::new()
    }
}

impl Analyser {
    /// Returns an analyser at the start of a lane.
    #[must_use]
    pub fn new() -> Self {
        let tables = &*TABLES;
        Self {
            tables,
            pending: Vec::with_capacity(BLOCK + FRAME_LENGTH),
            windowed: vec![0.0; FRAME_LENGTH],
            spectrum: tables.fft.make_output_vec(),
            scratch: tables.fft.make_scratch_vec(),
        }
    }

    /// Appends to `frames` (`[F, 129]` row major, ln power) each frame that `samples` (±1 full
    /// scale, 16 kHz) completes.
    pub fn push(&mut self, samples: &[f32], frames: &mut Vec<f32>) {
        for block in samples.chunks(BLOCK) {
            self.pending.extend_from_slice(block);
            let mut start = 0;
            while start + FRAME_LENGTH <= self.pending.len() {
                self.analyse(start, frames);
                start += FRAME_HOP;
            }
            self.pending.drain(..start);
        }
    }

    fn analyse(&mut self, start: usize, frames: &mut Vec<f32>) {
        let samples = &self.pending[start..start + FRAME_LENGTH];
        for ((out, sample), weight) in self
            .windowed
            .iter_mut()
            .zip(samples)
            .zip(&self.tables.window)
        {
            *out = sample * weight;
        }
        let outcome = self.tables.fft.process_with_scratch(
            &mut self.windowed,
            &mut self.spectrum,
            &mut self.scratch,
        );
        debug_assert!(outcome.is_ok(), "the FFT plan allocated the buffers");
        debug_assert_eq!(self.spectrum.len(), BINS);
        let scale = self.tables.scale;
        let start = frames.len();
        let powers = self.spectrum.iter().map(|bin| bin.norm_sqr() * scale);
        frames.extend(powers.map(|power| power + POWER_FLOOR));
        logarithms(&mut frames[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::SAMPLE_RATE;
    use super::*;

    fn frames_of(samples: &[f32]) -> Vec<f32> {
        let mut frames = Vec::new();
        Analyser::new().push(samples, &mut frames);
        frames
    }

    #[test]
    fn a_full_scale_sine_of_1_khz_is_ln_a_quarter_in_bin_16() {
        let step = std::f64::consts::TAU * 1_000.0 / f64::from(SAMPLE_RATE);
        let samples: Vec<f32> = (0..FRAME_LENGTH)
            .map(|i| (step * i as f64).sin() as f32)
            .collect();
        let frame = frames_of(&samples);
        assert_eq!(frame.len(), BINS);
        assert!((frame[16] - 0.25f32.ln()).abs() < 1e-4, "{}", frame[16]);
    }

    #[test]
    fn silence_is_the_floor() {
        let frame = frames_of(&[0.0; FRAME_LENGTH]);
        assert!(frame.iter().all(|value| (value + 23.0259).abs() < 1e-4));
    }

    #[test]
    fn a_frame_ends_at_sample_256_and_every_128_samples_after_it() {
        for (samples, frames) in [
            (255, 0),
            (256, 1),
            (383, 1),
            (384, 2),
            (4_224, 32),
            (10_000, 77),
        ] {
            assert_eq!(
                frames_of(&vec![0.1; samples]).len(),
                frames * BINS,
                "{samples} samples"
            );
        }
    }
}
