//! Frames to speech or not: how far a frame stands out of the lane's own noise, band by band.
//!
//! The noise of a band is the least smoothed level of the last one and a half seconds, which a talker
//! does not fill without a gap (minimum statistics: Martin, IEEE Trans. Speech Audio Proc. 9(5), 2001),
//! in the logarithmic domain, where the frames come from. What was chosen here, and against what, stands
//! in the design.

use crate::frontend::{BINS, FRAME_LENGTH, POWER_FLOOR};

/// First bin of each band, and the end of the last: 125 Hz to 6.5 kHz, wider from 1 kHz on as hearing is.
const EDGES: [usize; BANDS + 1] = [2, 6, 10, 14, 18, 24, 30, 38, 48, 60, 80, 104];
const BANDS: usize = 11;
/// A frame's score is the mean over so many bands that stand out most: speech does not fill all of them.
const TOP_BANDS: usize = BANDS / 2;
/// Weight of the past in a band's level: a memory of some 25 ms.
const SMOOTHING: f32 = 0.7;
/// The least level is sought in pieces, of which the oldest is forgotten as a whole.
const PIECES: usize = 8;
/// Frames of a piece; all of them are 1.5 s.
const PIECE_FRAMES: usize = 24;
/// The least level of noise lies below its mean, in ln power, by this over the root of the band's bins:
/// measured on white noise.
const LEAST_TO_MEAN: f32 = 1.8;
/// Frames at the start of a lane of which the least level says nothing yet; the gate stands for it.
const UNKNOWN_FRAMES: usize = 15;
/// More than this, in ln power, says no more about a band.
const MOST: f32 = 4.0;
/// Speech begins at this score and ends below the other. Pink noise alone reaches 0.57.
const BEGINS: f32 = 0.7;
const ENDS: f32 = 0.45;
/// Whatever lies this far (30 dB) below the lane's loudest band is a breath, or somebody else.
const RANGE: f32 = 7.0;
/// How fast the loudest level is taken back, in ln power a frame (1 dB a second), and forward.
const PEAK_FALL: f32 = 0.002;
const PEAK_RISE: f32 = 0.1;
/// Equivalent noise bandwidth of the Hamming window, in bins.
const NOISE_BANDWIDTH: f32 = 1.363;

/// Says of each frame of a lane whether it holds speech, from that frame and those before.
#[derive(Clone, Debug)]
pub struct Detector {
    /// Ln power in each band that is noise from the start.
    quiet: f32,
    /// Smoothed mean ln power of each band.
    level: [f32; BANDS],
    /// The least of it in each piece.
    least: [[f32; BANDS]; PIECES],
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
        let power = 10f32.powf(gate_dbfs / 10.0) * NOISE_BANDWIDTH / FRAME_LENGTH as f32;
        Self {
            quiet: power.max(POWER_FLOOR).ln(),
            level: [0.0; BANDS],
            least: [[f32::INFINITY; BANDS]; PIECES],
            peak: f32::NEG_INFINITY,
            frames: 0,
            speech: false,
        }
    }

    /// Whether the next frame, `[129]` of ln power, holds speech.
    pub fn hear(&mut self, frame: &[f32]) -> bool {
        debug_assert_eq!(frame.len(), BINS);
        self.follow(frame);
        let loudest = self.level.iter().copied().fold(f32::MIN, f32::max);
        self.peak = match self.frames {
            0 => loudest,
            _ => (self.peak - PEAK_FALL).max(self.peak + PEAK_RISE * (loudest - self.peak)),
        };
        let enough = if self.speech { ENDS } else { BEGINS };
        self.speech = self.score() > enough && loudest > self.peak - RANGE;
        self.frames += 1;
        self.speech
    }

    /// Takes a frame's levels.
    fn follow(&mut self, frame: &[f32]) {
        let piece = self.frames / PIECE_FRAMES % PIECES;
        if self.frames.is_multiple_of(PIECE_FRAMES) {
            self.least[piece] = [f32::INFINITY; BANDS];
        }
        for (band, edges) in EDGES.windows(2).enumerate() {
            let bins = &frame[edges[0]..edges[1]];
            let now = bins.iter().sum::<f32>() / bins.len() as f32;
            let level = match self.frames {
                0 => now,
                _ => SMOOTHING * self.level[band] + (1.0 - SMOOTHING) * now,
            };
            self.level[band] = level;
            self.least[piece][band] = self.least[piece][band].min(level);
        }
    }

    /// How far the frame stands out of the noise, 0 to [`MOST`].
    fn score(&self) -> f32 {
        let mut above: [f32; BANDS] =
            std::array::from_fn(|band| (self.level[band] - self.noise(band)).clamp(0.0, MOST));
        let (_, _, top) = above.select_nth_unstable_by(BANDS - TOP_BANDS - 1, f32::total_cmp);
        top.iter().sum::<f32>() / TOP_BANDS as f32
    }

    fn noise(&self, band: usize) -> f32 {
        if self.frames < UNKNOWN_FRAMES {
            return self.quiet;
        }
        let least = self.least.iter().map(|piece| piece[band]);
        let bins = EDGES[band + 1] - EDGES[band];
        let mean = least.fold(f32::INFINITY, f32::min) + LEAST_TO_MEAN / (bins as f32).sqrt();
        mean.max(self.quiet)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::frontend::Analyser;

    /// How many frames of so many samples hold speech.
    fn speech(samples: &[f32]) -> (usize, usize) {
        let mut frames = Vec::new();
        Analyser::new().push(samples, &mut frames);
        let mut detector = Detector::new(-75.0);
        let heard = frames
            .chunks_exact(BINS)
            .filter(|frame| detector.hear(frame));
        (heard.count(), frames.len() / BINS)
    }

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
