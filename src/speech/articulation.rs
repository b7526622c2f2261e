//! Whether what stands out of the noise is articulated, as speech is, or only sounds, as tones and music do.
//!
//! Speech changes the shape of its spectrum with every sound, and its partials glide. Those of tones and notes
//! stand still, and the shape changes little while they last. Both are means over the last half second of frames that
//! stand out of the noise; what speaks against speech is added up (Page, Biometrika 41, 1954), so that one still
//! vowel is not enough. The constants were fitted to recordings; the design page has the figures.

use super::Sound;
use super::bands::Levels;
use super::partials::Observation;
use super::recent::KEPT;

/// So many frames before one may turn out to hold no speech after all: 3 s.
pub const MOST_TAKEN_BACK: usize = KEPT - 1;
/// Bands that a telephone passes.
const TELEPHONE_BANDS: usize = 9;
/// Weight of the past in a mean: a memory of 64 frames.
const MEMORY: f32 = 0.984_5;
/// What remains of the means where a new sound begins after a tone, which may be speech.
const KEPT_AT_BEGIN: f32 = 0.3;
/// Frames this far (35 dB) below the loudest since the sound began, in ln power, are what it leaves behind; the loudest
/// is forgotten by this a frame (11 dB a second).
const FADED: f32 = 8.0;
const FORGOTTEN: f32 = 0.02;
/// Frames after which the shape's variation is known: 384 ms.
const KNOWN_FRAMES: usize = 48;
/// The shape of what is not speech varies by less than this, in ln power …
const LEAST_VARIATION: f32 = 0.36;
/// … and by this more if all partials stand still.
const STILL_WEIGHT: f32 = 1.8;
/// The mean number of partials a frame below which their stillness counts less.
const FEWEST_PARTIALS: f32 = 0.05;
/// More than this share of tones speaks against speech, by this weight; the share starts as if this many frames had
/// been none.
const TONE_SHARE: f32 = 0.5;
const TONE_WEIGHT: f32 = 8.0;
const TONE_PRIOR: f32 = 12.0;
/// More than this share of frames whose loudest partial moves evenly speaks against speech, by this weight.
const EVEN_SHARE: f32 = 0.72;
const EVEN_WEIGHT: f32 = 24.0;
/// More than this share of frames softer than the one before, on the mean over the bands, speaks against speech, by
/// this weight: what is struck or plucked only fades.
const FADING_SHARE: f32 = 0.68;
const FADING_WEIGHT: f32 = 16.0;
/// What one frame can speak for speech, or against, at most.
const MOST: f32 = 1.0;
/// So much against speech is enough, and what goes on is speech again below the other.
const ENOUGH: f32 = 14.0;
const SPEECH_AGAIN: f32 = 9.1;

/// Follows the frames of a lane that stand out of the noise.
#[derive(Clone, Debug, Default)]
pub(super) struct Articulation {
    /// Sum of all weights.
    weight: f32,
    /// Weighted sums of each band's level over the mean of all, and of its square.
    shape: [f32; TELEPHONE_BANDS],
    shape_squared: [f32; TELEPHONE_BANDS],
    /// Weighted sums.
    seen: Observation,
    fading: f32,
    /// Mean level of the bands in the frame before.
    level: f32,
    /// The loudest frame's loudest bin, in ln power.
    loudest: f32,
    /// Frames that were added, up to [`KNOWN_FRAMES`].
    frames: usize,
    /// The newest frame's margin, at most [`MOST`] either way; 0 until a frame was added.
    margin: f32,
    /// What speaks against speech.
    against: f32,
    /// That was enough.
    tone: bool,
    /// Frames of the lane since nothing spoke against speech.
    doubtful: usize,
}

impl Articulation {
    /// A frame of the lane passes, whatever it holds.
    pub(super) fn pass(&mut self) {
        self.doubtful = (self.doubtful + 1).min(MOST_TAKEN_BACK);
        self.loudest -= FORGOTTEN;
    }

    /// Takes a frame that stands out of the noise, with which a sound begins or not. Gives what it holds.
    pub(super) fn observe(&mut self, levels: &Levels, seen: &Observation, begins: bool) -> Sound {
        if self.tone && begins {
            self.scale(KEPT_AT_BEGIN);
        }
        if begins || self.frames == 0 {
            self.loudest = seen.loudest;
        }
        if seen.loudest < self.loudest - FADED {
            return self.sound();
        }
        self.loudest = self.loudest.max(seen.loudest);
        self.add(levels, seen);
        self.margin = self.margin().clamp(-MOST, MOST);
        self.against = (self.against - self.margin).clamp(0.0, ENOUGH);
        if self.tone {
            if self.against < SPEECH_AGAIN {
                self.tone = false;
                self.against = 0.0;
                self.doubtful = 0;
            }
        } else if self.against >= ENOUGH {
            self.tone = true;
            return Sound::Steady(self.doubtful);
        } else if self.against == 0.0 && self.known() {
            self.doubtful = 0;
        }
        self.sound()
    }

    /// How far what stands out of the noise is articulated: the newest frame's margin, −1 to 1. As long as that is not
    /// known, 1.
    pub(super) fn degree(&self) -> f32 {
        if self.known() { self.margin } else { MOST }
    }

    fn sound(&self) -> Sound {
        if self.tone {
            Sound::Steady(0)
        } else {
            Sound::Speech
        }
    }

    fn known(&self) -> bool {
        self.frames >= KNOWN_FRAMES
    }

    fn add(&mut self, levels: &Levels, seen: &Observation) {
        self.scale(MEMORY);
        self.weight += 1.0;
        let levels = &levels[..TELEPHONE_BANDS];
        let mean = levels.iter().sum::<f32>() / TELEPHONE_BANDS as f32;
        self.fading += f32::from(mean < self.level);
        self.level = mean;
        for (band, level) in levels.iter().enumerate() {
            let shape = level - mean;
            self.shape[band] += shape;
            self.shape_squared[band] += shape * shape;
        }
        self.seen.partials += seen.partials;
        self.seen.still += seen.still;
        self.seen.tone += seen.tone;
        self.seen.even += seen.even;
        self.frames = (self.frames + 1).min(KNOWN_FRAMES);
    }

    fn scale(&mut self, factor: f32) {
        self.weight *= factor;
        let shapes = self.shape.iter_mut().chain(&mut self.shape_squared);
        shapes.for_each(|sum| *sum *= factor);
        self.seen.partials *= factor;
        self.seen.still *= factor;
        self.seen.tone *= factor;
        self.seen.even *= factor;
        self.fading *= factor;
    }

    /// By how much more the spectrum's shape varies, in ln power, than without syllables; as long as that is not
    /// known, only what the share of tones takes away.
    fn margin(&self) -> f32 {
        let share = self.seen.tone / (self.weight + TONE_PRIOR);
        let tones = TONE_WEIGHT * (share - TONE_SHARE).max(0.0);
        if !self.known() {
            return -tones;
        }
        let still = self.seen.still / self.seen.partials.max(FEWEST_PARTIALS * self.weight);
        let even = EVEN_WEIGHT * (self.seen.even / self.weight - EVEN_SHARE).max(0.0);
        let fading = FADING_WEIGHT * (self.fading / self.weight - FADING_SHARE).max(0.0);
        self.variation() - LEAST_VARIATION - STILL_WEIGHT * still - tones - even - fading
    }

    /// Standard deviation of the shape, in ln power: the mean over the bands.
    fn variation(&self) -> f32 {
        let bands = self.shape.iter().zip(self.shape_squared);
        let deviations = bands.map(|(sum, squared)| {
            let mean = sum / self.weight;
            (squared / self.weight - mean * mean).max(0.0).sqrt()
        });
        deviations.sum::<f32>() / TELEPHONE_BANDS as f32
    }
}
