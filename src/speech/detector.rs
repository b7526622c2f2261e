//! The speech detector: raw frames come in, one [`Sound`] a frame goes out.
//!
//! A frame holds speech if it stands out from the lane's own noise, band by band, and if the sound that stands out is
//! loud enough, falls again and is articulated. The decisions page has the reasons and measurements, under "Speech".

use super::articulation::Articulation;
use super::bands::{self, Levels};
use super::loudness::Loudness;
use super::noise::Noise;
use super::partials::{Observation, Partials};
use super::sound::Sound;
use super::steadiness::{STEADY_FRAMES, Steadiness};
use crate::frontend::SEGMENT_FRAMES;

/// Speech begins with a frame that stands out from the noise by more than this, in ln power. Pink noise alone reaches
/// 0.57.
const BEGIN_EXCESS: f32 = 0.7;
/// Speech continues while frames stand out from the noise by more than this, in ln power. It is less than
/// [`BEGIN_EXCESS`], so that soft syllables do not end it.
const CONTINUE_EXCESS: f32 = 0.45;

/// Detects speech in a lane's frames.
///
/// The result for a frame depends on that frame and the frames before it. The frames of the first segment are the
/// exception: the result for each of them depends on the whole segment.
#[derive(Clone, Debug)]
pub struct Detector {
    noise: Noise,
    steadiness: Steadiness,
    loudness: Loudness,
    partials: Partials,
    articulation: Articulation,
    /// Band levels of the newest frame.
    levels: Option<Levels>,
    /// Band levels and partials of the first segment's frames. They are classified together, because the noise has not
    /// been measured before.
    first_frames: [(Levels, Observation); SEGMENT_FRAMES],
    /// Number of entries of `first_frames` that are filled.
    first_count: usize,
    /// Whether the newest frame stands out from the noise and is loud enough.
    in_speech: bool,
}

impl Detector {
    /// Returns a detector at the start of a lane. It takes the lane's noise to be at least white noise of `gate_dbfs`.
    #[must_use]
    pub fn new(gate_dbfs: f32) -> Self {
        Self {
            noise: Noise::new(gate_dbfs),
            steadiness: Steadiness::new(),
            loudness: Loudness::default(),
            partials: Partials::new(),
            articulation: Articulation::default(),
            levels: None,
            first_frames: [<(Levels, Observation)>::default(); _],
            first_count: 0,
            in_speech: false,
        }
    }

    /// Accepts the next frame, `[129]` in ln power, and returns its sound. For each of a lane's first 31 frames it
    /// returns nothing. With the 32nd frame it returns the sounds of all 32.
    pub fn process(&mut self, frame: &[f32]) -> impl Iterator<Item = Sound> + use<> {
        let levels = bands::smooth(self.levels.as_ref(), frame);
        self.levels = Some(levels);
        let observation = self.partials.observe(frame);
        self.noise.process(&levels);
        let mut sounds = [Sound::Silence; SEGMENT_FRAMES];
        let count = match self.first_frames.get_mut(self.first_count) {
            Some(first) => {
                *first = (levels, observation);
                self.first_count += 1;
                if self.first_count == SEGMENT_FRAMES {
                    sounds = self
                        .first_frames
                        .map(|(levels, observation)| self.classify(&levels, &observation));
                    SEGMENT_FRAMES
                } else {
                    0
                }
            }
            None => {
                sounds[0] = self.classify(&levels, &observation);
                1
            }
        };
        sounds.into_iter().take(count)
    }

    /// Returns how articulated the newest sound that stands out from the noise is, −1 to 1. Speech reaches about 0.7,
    /// and music that is detected as speech about 0.2. The result is 1 until there are enough frames.
    #[must_use]
    pub fn articulation(&self) -> f32 {
        self.articulation.margin()
    }

    /// Returns the sound of the next frame, from the noise measured up to now.
    fn classify(&mut self, levels: &Levels, observation: &Observation) -> Sound {
        let least = if self.in_speech {
            CONTINUE_EXCESS
        } else {
            BEGIN_EXCESS
        };
        let stands_out = bands::excess(levels, &self.noise.levels()) > least;
        self.steadiness
            .process(&self.noise.raised_to_gate(levels), stands_out);
        self.loudness.advance(levels, self.steadiness.begins());
        self.in_speech = stands_out && self.loudness.is_loud_enough(levels);
        self.articulation.advance();
        if !self.in_speech {
            return Sound::Silence;
        }
        if self.steadiness.steady() {
            self.noise.adopt_steady_sound();
            self.loudness.restore();
            self.in_speech = false;
            return Sound::Steady(STEADY_FRAMES);
        }
        let begins = self.steadiness.begins();
        let sound = self.articulation.observe(levels, observation, begins);
        match sound {
            Sound::Speech => self.loudness.raise(levels),
            Sound::Steady(_) => self.loudness.restore(),
            Sound::Silence => {}
        }
        sound
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::frontend::{Analyser, BINS};

    /// Returns how many frames hold speech after all retractions, and how many frames there are.
    fn speech(samples: &[f32]) -> (usize, usize) {
        let mut frames = Vec::new();
        Analyser::new().push(samples, &mut frames);
        let mut detector = Detector::new(-75.0);
        let mut speech = Vec::new();
        for sound in frames
            .chunks_exact(BINS)
            .flat_map(|frame| detector.process(frame))
        {
            speech.push(sound == Sound::Speech);
            if let Sound::Steady(frames) = sound {
                let first = speech.len().saturating_sub(frames + 1);
                speech[first..].fill(false);
            }
        }
        let count = speech.iter().filter(|speech| **speech).count();
        (count, speech.len())
    }

    /// Returns white noise with values up to `level`.
    fn noise(samples: usize, level: f32) -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(3);
        let uniform = (0..samples).map(|_| random.random::<f32>() * 2.0 - 1.0);
        uniform.map(|x| x * level).collect()
    }

    #[test]
    fn silence_and_noise_below_the_gate_are_not_speech() {
        assert_eq!(speech(&[0.0; 32_000]).0, 0);
        // −80 dBFS.
        assert_eq!(speech(&noise(32_000, 1.7e-4)).0, 0);
    }

    #[test]
    fn noise_a_knock_in_noise_and_hum_are_not_speech() {
        for level in [1e-3, 1e-2, 0.5] {
            let mut noise = noise(160_000, level);
            assert_eq!(speech(&noise).0, 0);
            // A knock: 20 dB louder for 64 ms, 0.1 s from the start.
            for sample in &mut noise[1_600..2_624] {
                *sample *= 10.0;
            }
            let knock = 1_024 / 128 + 10;
            assert!(speech(&noise).0 <= knock);
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
        assert_eq!(speech(&hum).0, 0);
    }

    #[test]
    fn noise_that_begins_late_or_grows_is_not_speech() {
        let background = noise(160_000, 1.0);
        // Uniform noise in ±a has the power a²/3. The last pair of levels is −75 and −45 dBFS.
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
            let (detected, _) = speech(&grown(from, to, frames));
            assert_eq!(detected, 0, "{from} to {to}");
        }
    }

    /// Returns sample `i` of a synthetic voice at 16 kHz. It has twenty harmonics of a pitch that glides around 120 Hz.
    /// A formant moves between 400 Hz and 2 kHz four times a second.
    fn voice(i: usize) -> f32 {
        let seconds = i as f32 / 16_000.0;
        let turns = |hertz: f32| std::f32::consts::TAU * hertz * seconds;
        let pitch = 120.0 * (1.0 + 0.1 * turns(3.0).cos());
        let phase = turns(120.0) + 4.0 * turns(3.0).sin();
        let formant = 1_200.0 + 800.0 * turns(4.0).sin();
        let harmonic = |k: usize| {
            let k = k as f32;
            let off = (k * pitch - formant) / 400.0;
            (0.05 + (-off * off).exp()) * (k * phase).sin()
        };
        (1..=20).map(harmonic).sum()
    }

    /// Returns a voice that sounds for half of every second, from 1.5 s on.
    fn bursts(samples: usize, level: f32) -> Vec<f32> {
        let on = |i: usize| i >= 24_000 && i % 16_000 >= 8_000;
        let sample = |i| if on(i) { level * voice(i) } else { 0.0 };
        (0..samples).map(sample).collect()
    }

    #[test]
    fn speech_is_detected_after_a_loud_beep_buzzer_or_roar() {
        // −44 dBFS.
        let quiet = bursts(160_000, 0.004);
        let (alone, _) = speech(&quiet);
        let beep = |i: usize| 0.5 * (0.4 * i as f32).sin();
        let buzzer = |i: usize| if i % 130 < 65 { 0.5 } else { -0.5 };
        let roar = noise(16_000, 0.9);
        let roar = |i: usize| roar[i];
        let sounds: [(&dyn Fn(usize) -> f32, usize); 4] = [
            (&beep, 4_000),
            (&beep, 16_000),
            (&buzzer, 16_000),
            (&roar, 16_000),
        ];
        for (number, (sound, length)) in sounds.into_iter().enumerate() {
            let mut samples = quiet.clone();
            for i in 0..length {
                samples[4_800 + i] += sound(i);
            }
            let (detected, _) = speech(&samples);
            // A sound of a quarter of a second may be too short to be distinguished from a word. The ends of the nine
            // bursts may be cut. Up to 80 ms more may be cut where a voice follows a tone.
            let word = if length < 8_000 {
                length / 128 + 10
            } else {
                10
            };
            let about = alone - 9 * 5 - 10..alone + word;
            assert!(
                about.contains(&detected),
                "sound {number}: {detected} frames of speech, {alone} without the sound"
            );
        }
    }

    #[test]
    fn a_buzz_and_a_chord_that_begin_and_end_are_not_speech() {
        let buzz = |i: usize| {
            let phase = std::f32::consts::TAU * 120.0 * i as f32 / 16_000.0;
            (1..=20).map(|k| (phase * k as f32).sin()).sum::<f32>()
        };
        let chord = |i: usize| {
            let tones = [440.0, 554.4, 659.3, 880.0, 1_318.5];
            let phase = |hertz: f32| std::f32::consts::TAU * hertz * i as f32 / 16_000.0;
            tones.map(|hertz| phase(hertz).sin()).iter().sum::<f32>()
        };
        let sounds: [&dyn Fn(usize) -> f32; 2] = [&buzz, &chord];
        for (number, sound) in sounds.into_iter().enumerate() {
            let on = |i: usize| i % 12_000 < 6_000;
            let sample = |i| if on(i) { 0.02 * sound(i) } else { 0.0 };
            let samples: Vec<f32> = (0..160_000).map(sample).collect();
            assert_eq!(speech(&samples).0, 0, "{number}");
        }
    }

    #[test]
    fn a_voice_40_db_softer_than_the_talker_is_not_speech() {
        let (near, far) = (bursts(80_000, 0.05), bursts(80_000, 0.000_5));
        let (alone, _) = speech(&near);
        let (both, _) = speech(&[near, far.clone()].concat());
        assert!(
            (alone..alone + 5).contains(&both),
            "{both} frames of speech, {alone} without the softer voice"
        );
        assert!(speech(&far).0 > alone / 2);
    }

    #[test]
    fn a_voice_in_noise_is_detected_at_any_gain() {
        let on = |i: usize| i % 16_000 < 8_000;
        let voice = |i: usize| if on(i) { 0.04 * voice(i) } else { 0.0 };
        let background = noise(160_000, 0.005);
        let samples: Vec<f32> = background
            .iter()
            .enumerate()
            .map(|(i, noise)| noise + voice(i))
            .collect();
        for gain in [1.0, 0.3, 0.1] {
            let scaled: Vec<f32> = samples.iter().map(|sample| gain * sample).collect();
            let (detected, frames) = speech(&scaled);
            let share = detected as f32 / frames as f32;
            assert!((0.45..0.6).contains(&share), "gain {gain}: {share}");
        }
    }
}
