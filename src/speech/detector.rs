//! Frames to speech or not: how far a frame stands out of the lane's own noise, band by band.
//!
//! What was chosen here, and against what, stands in the design.

use super::Sound;
use super::bands::{self, Levels};
use super::noise::Noise;
use super::steadiness::Steadiness;

/// Frames at the start of a lane of which the least level says nothing yet; the gate stands for it.
const UNKNOWN_FRAMES: usize = 15;
/// Speech begins at this score and ends below the other. Pink noise alone reaches 0.57.
const BEGINS: f32 = 0.7;
const ENDS: f32 = 0.45;
/// Whatever lies this far (30 dB) below the lane's loudest band is a breath, or somebody else.
const RANGE: f32 = 7.0;
/// How fast the loudest level is taken back, in ln power a frame (1 dB a second), and forward.
const PEAK_FALL: f32 = 0.002;
const PEAK_RISE: f32 = 0.1;

/// Says of each frame of a lane whether it holds speech, from that frame and those before.
#[derive(Clone, Debug)]
pub struct Detector {
    noise: Noise,
    steadiness: Steadiness,
    levels: Option<Levels>,
    /// The loudest band's, held.
    peak: f32,
    frames: usize,
    speech: bool,
}

impl Detector {
    /// A detector at the start of a lane. Noise of up to `gate_dbfs`, spread evenly over the spectrum,
    /// is noise without having been heard before.
    #[must_use]
    pub fn new(gate_dbfs: f32) -> Self {
        Self {
            noise: Noise::new(gate_dbfs),
            steadiness: Steadiness::new(),
            levels: None,
            peak: f32::NEG_INFINITY,
            frames: 0,
            speech: false,
        }
    }

    /// What the next frame, `[129]` of ln power, holds.
    pub fn hear(&mut self, frame: &[f32]) -> Sound {
        let levels = bands::follow(self.levels.as_ref(), frame);
        self.levels = Some(levels);
        self.noise.hear(&levels);
        let loudest = levels.iter().copied().fold(f32::MIN, f32::max);
        self.peak = match self.frames {
            0 => loudest,
            _ => (self.peak - PEAK_FALL).max(self.peak + PEAK_RISE * (loudest - self.peak)),
        };
        let noise = match self.frames {
            0..UNKNOWN_FRAMES => self.noise.quiet(),
            _ => self.noise.levels(),
        };
        self.frames += 1;
        let enough = if self.speech { ENDS } else { BEGINS };
        let stands_out = bands::excess(&levels, &noise) > enough;
        self.steadiness
            .hear(&self.noise.audible(&levels), stands_out);
        self.speech = stands_out && loudest > self.peak - RANGE;
        if !self.speech {
            return Sound::Silence;
        }
        if self.steadiness.steady() {
            self.noise.settle();
            self.speech = false;
            return Sound::Steady;
        }
        Sound::Speech
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::STEADY_FRAMES;
    use super::*;
    use crate::frontend::{Analyser, BINS};

    /// How many frames of so many samples hold speech, when all is heard.
    fn speech(samples: &[f32]) -> (usize, usize) {
        let mut frames = Vec::new();
        Analyser::new().push(samples, &mut frames);
        let mut detector = Detector::new(-75.0);
        let mut heard = Vec::new();
        for frame in frames.chunks_exact(BINS) {
            let sound = detector.hear(frame);
            heard.push(sound == Sound::Speech);
            if sound == Sound::Steady {
                let before = heard.len().saturating_sub(STEADY_FRAMES + 1);
                heard[before..].fill(false);
            }
        }
        let count = heard.iter().filter(|speech| **speech).count();
        (count, heard.len())
    }

    /// White noise with values up to `level`.
    fn noise(samples: usize, level: f32) -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(3);
        let uniform = (0..samples).map(|_| random.random::<f32>() * 2.0 - 1.0);
        uniform.map(|x| x * level).collect()
    }

    #[test]
    fn silence_and_what_lies_below_the_gate_are_never_speech() {
        assert_eq!(speech(&[0.0; 32_000]).0, 0);
        // −80 dBFS.
        assert_eq!(speech(&noise(32_000, 1.7e-4)).0, 0);
    }

    #[test]
    fn noise_and_hum_are_speech_no_longer_than_they_are_unknown() {
        for level in [1e-3, 1e-2, 0.5] {
            assert!(speech(&noise(160_000, level)).0 <= UNKNOWN_FRAMES);
        }
        // Mains hum and its harmonics at −65 dBFS.
        let hum = |i: usize| {
            let harmonics = [50.0, 100.0, 150.0, 250.0, 350.0];
            let phase = |hertz: f32| std::f32::consts::TAU * hertz * i as f32 / 16_000.0;
            harmonics
                .map(|hertz| 3.5e-4 * phase(hertz).sin())
                .iter()
                .sum()
        };
        let hum: Vec<f32> = (0..160_000).map(hum).collect();
        assert!(speech(&hum).0 <= UNKNOWN_FRAMES);
    }

    #[test]
    fn noise_that_comes_later_or_grows_is_no_speech() {
        let background = noise(160_000, 1.0);
        // Levels of ±a have a²/3 of full scale's power: the last are −75 and −45 dBFS.
        let grown = |from: f32, to: f32, frames: f32| {
            let samples = background.iter().enumerate().map(move |(i, noise)| {
                let grown = (i as f32 - 48_000.0) / (128.0 * frames);
                noise * from * (to / from).powf(grown.clamp(0.0, 1.0))
            });
            samples.collect::<Vec<f32>>()
        };
        for (from, to, frames) in [
            (1e-9, 0.005, 1.0),
            (1e-9, 0.5, 1.0),
            (0.005, 0.008, 1.0),
            (0.005, 0.05, 1.0),
            (0.000_3, 0.01, 125.0),
        ] {
            let (heard, _) = speech(&grown(from, to, frames));
            assert!(heard <= UNKNOWN_FRAMES, "{from} to {to}: {heard}");
        }
    }

    #[test]
    fn a_sound_that_comes_and_goes_stands_out_of_noise_whatever_the_level() {
        // Bursts of a buzz with twenty harmonics, half a second of every second.
        let buzz = |i: usize| {
            let on = i % 16_000 < 8_000;
            let phase = std::f32::consts::TAU * 120.0 * i as f32 / 16_000.0;
            let harmonics = (1..=20).map(|k| (phase * k as f32).sin()).sum::<f32>();
            if on { 0.02 * harmonics } else { 0.0 }
        };
        let background = noise(160_000, 0.005);
        let samples: Vec<f32> = background
            .iter()
            .enumerate()
            .map(|(i, noise)| noise + buzz(i))
            .collect();
        for gain in [1.0, 0.3, 0.1] {
            let scaled: Vec<f32> = samples.iter().map(|sample| gain * sample).collect();
            let (heard, frames) = speech(&scaled);
            let share = heard as f32 / frames as f32;
            assert!((0.45..0.6).contains(&share), "gain {gain}: {share}");
        }
    }
}
