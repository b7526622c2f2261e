//! Frames to speech or not: how far a frame stands out of the lane's own noise, band by band, and whether what
//! stands out is articulated.
//!
//! What was chosen here, and against what, stands in the design.

use super::Sound;
use super::articulation::Articulation;
use super::bands::{self, Levels};
use super::loudness::Loudness;
use super::noise::Noise;
use super::partials::{Observation, Partials};
use super::steadiness::{STEADY_FRAMES, Steadiness};
use crate::frontend::SEGMENT_FRAMES;

/// Speech begins at this score and ends below the other. Pink noise alone reaches 0.57.
const BEGINS: f32 = 0.7;
const ENDS: f32 = 0.45;

/// Says of each frame of a lane what it holds, from that frame and those before; of those of the first
/// segment, from that segment.
#[derive(Clone, Debug)]
pub struct Detector {
    noise: Noise,
    steadiness: Steadiness,
    loudness: Loudness,
    partials: Partials,
    articulation: Articulation,
    /// Levels of the newest frame.
    levels: Option<Levels>,
    /// Levels of the first segment's frames, and what was seen in them: they are judged together, because
    /// nothing is known of the noise before.
    first: [(Levels, Observation); SEGMENT_FRAMES],
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
            loudness: Loudness::default(),
            partials: Partials::new(),
            articulation: Articulation::default(),
            levels: None,
            first: [<(Levels, Observation)>::default(); _],
            frames: 0,
            speech: false,
        }
    }

    /// Takes the next frame, `[129]` of ln power. Gives what it holds; of a lane's first 31 frames nothing,
    /// and with the next what all 32 hold.
    pub fn process(&mut self, frame: &[f32]) -> impl Iterator<Item = Sound> + use<> {
        let levels = bands::follow(self.levels.as_ref(), frame);
        self.levels = Some(levels);
        let seen = self.partials.observe(frame);
        self.noise.process(&levels);
        let mut sounds = [Sound::Silence; SEGMENT_FRAMES];
        let known = match self.first.get_mut(self.frames) {
            Some(first) => {
                *first = (levels, seen);
                self.frames += 1;
                if self.frames == SEGMENT_FRAMES {
                    sounds = self
                        .first
                        .map(|(levels, seen)| self.classify(&levels, &seen));
                    SEGMENT_FRAMES
                } else {
                    0
                }
            }
            None => {
                sounds[0] = self.classify(&levels, &seen);
                1
            }
        };
        sounds.into_iter().take(known)
    }

    /// How far the newest sound that stands out of the noise is articulated, −1 to 1: speech lies about 0.7, music that
    /// passes for speech about 0.2. As long as that is not known, 1.
    #[must_use]
    pub fn articulation(&self) -> f32 {
        self.articulation.degree()
    }

    /// What the next frame holds, as far as the noise is known.
    fn classify(&mut self, levels: &Levels, seen: &Observation) -> Sound {
        let enough = if self.speech { ENDS } else { BEGINS };
        let stands_out = bands::excess(levels, &self.noise.levels()) > enough;
        self.steadiness
            .process(&self.noise.audible(levels), stands_out);
        self.loudness.pass(levels, self.steadiness.begins());
        self.speech = stands_out && self.loudness.near(levels);
        self.articulation.pass();
        if !self.speech {
            return Sound::Silence;
        }
        if self.steadiness.steady() {
            self.noise.settle();
            self.loudness.take_back();
            self.speech = false;
            return Sound::Steady(STEADY_FRAMES);
        }
        let begins = self.steadiness.begins();
        let sound = self.articulation.observe(levels, seen, begins);
        match sound {
            Sound::Speech => self.loudness.rise(levels),
            Sound::Steady(_) => self.loudness.take_back(),
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

    /// How many frames of so many samples hold speech, when all is heard.
    fn speech(samples: &[f32]) -> (usize, usize) {
        let mut frames = Vec::new();
        Analyser::new().push(samples, &mut frames);
        let mut detector = Detector::new(-75.0);
        let mut heard = Vec::new();
        for sound in frames
            .chunks_exact(BINS)
            .flat_map(|frame| detector.process(frame))
        {
            heard.push(sound == Sound::Speech);
            if let Sound::Steady(frames) = sound {
                let before = heard.len().saturating_sub(frames + 1);
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
    fn noise_and_hum_and_a_knock_in_them_are_no_speech() {
        for level in [1e-3, 1e-2, 0.5] {
            let mut noise = noise(160_000, level);
            assert_eq!(speech(&noise).0, 0);
            // 20 dB louder for 64 ms, 0.1 s from the start.
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
            assert_eq!(heard, 0, "{from} to {to}");
        }
    }

    /// A voice at 16 kHz: twenty harmonics of a pitch that glides about 120 Hz, under a formant that goes up and
    /// down between 400 Hz and 2 kHz four times a second.
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

    /// A voice half a second of every second, from 1.5 s on.
    fn bursts(samples: usize, level: f32) -> Vec<f32> {
        let on = |i: usize| i >= 24_000 && i % 16_000 >= 8_000;
        let sample = |i| if on(i) { level * voice(i) } else { 0.0 };
        (0..samples).map(sample).collect()
    }

    #[test]
    fn a_loud_beep_or_buzzer_or_roar_deafens_nobody() {
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
            let (heard, _) = speech(&samples);
            // A quarter of a second may be too short to be told from a word; the ends of the nine bursts may be
            // cut, and up to 80 ms more where a voice follows a tone.
            let word = if length < 8_000 {
                length / 128 + 10
            } else {
                10
            };
            let about = alone - 9 * 5 - 10..alone + word;
            assert!(about.contains(&heard), "{number}: {heard}, not {alone}");
        }
    }

    #[test]
    fn a_buzz_and_a_chord_that_come_and_go_are_no_speech() {
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
    fn who_is_forty_decibels_softer_than_the_talker_is_somebody_else() {
        let (near, far) = (bursts(80_000, 0.05), bursts(80_000, 0.000_5));
        let (alone, _) = speech(&near);
        let (both, _) = speech(&[near, far.clone()].concat());
        assert!((alone..alone + 5).contains(&both), "{both}, not {alone}");
        assert!(speech(&far).0 > alone / 2);
    }

    #[test]
    fn a_sound_that_comes_and_goes_stands_out_of_noise_whatever_the_level() {
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
            let (heard, frames) = speech(&scaled);
            let share = heard as f32 / frames as f32;
            assert!((0.45..0.6).contains(&share), "gain {gain}: {share}");
        }
    }
}
