//! Whether a sound that stands out from the noise is articulated, as speech is, or is a tone or music.
//!
//! Band levels and partials of a frame come in, a [`Sound`] goes out. Speech changes the shape of its spectrum with
//! every sound, and its partials glide. The partials of tones and notes stand still, and their shape changes little.
//! Both are means over the last half second of frames that stand out. Evidence against speech is summed (Page,
//! Biometrika 41, 1954), so that one still vowel is not enough. The constants were fitted to recordings. The decisions
//! page has the formula and the figures, under "Speech".

use super::bands::Levels;
use super::partials::Observation;
use super::sound::{MAX_RETRACTED_FRAMES, Sound};

/// Number of bands that a telephone passes, from the lowest on.
const TELEPHONE_BANDS: usize = 9;
/// Weight of the earlier frames in a mean. The time constant is 64 frames, half a second.
const MEMORY: f32 = 0.984_5;
/// Factor of the means when a new sound begins after a tone or music. They count less, because the sound may be speech.
const KEPT_AT_BEGIN: f32 = 0.3;
/// A frame this far below the loudest frame of the sound, in ln power (35 dB), is the sound's decay and does not count.
const DECAY_RANGE: f32 = 8.0;
/// Decay of the loudest level, in ln power a frame (11 dB a second).
const LOUDEST_DECAY: f32 = 0.02;
/// Frames that are needed before the means, other than the share of tones, count: 384 ms.
const MIN_FRAMES: usize = 48;
/// Least variation of the spectrum's shape of speech, in ln power. With this variation and no other evidence against
/// speech, the margin (positive for speech) is 0.
const SPEECH_VARIATION: f32 = 0.36;
/// Weight of the share of partials that stand still, in ln power.
const STILL_WEIGHT: f32 = 1.8;
/// Least divisor of that share, in partials a frame. If there are fewer partials, the still ones count less.
const MIN_PARTIALS: f32 = 0.05;
/// Share of tones above which they are evidence against speech.
const TONE_SHARE: f32 = 0.5;
/// Weight of the share of tones above [`TONE_SHARE`], in ln power.
const TONE_WEIGHT: f32 = 8.0;
/// Frames without a tone that are added to the share of tones, so that the first few tones are not enough.
const TONE_PRIOR: f32 = 12.0;
/// Share of frames with an evenly moving loudest partial above which they are evidence against speech.
const EVEN_SHARE: f32 = 0.72;
/// Weight of the share of even frames above [`EVEN_SHARE`], in ln power.
const EVEN_WEIGHT: f32 = 24.0;
/// Share of frames softer than the frame before, on the mean over the bands, above which they are evidence against
/// speech. The sound of a struck or plucked string only fades.
const FADING_SHARE: f32 = 0.68;
/// Weight of the share of fading frames above [`FADING_SHARE`], in ln power.
const FADING_WEIGHT: f32 = 16.0;
/// Largest margin of a frame, for or against speech, in ln power.
const MAX_MARGIN: f32 = 1.0;
/// Sum of evidence against speech at which the sound is no longer speech. The sum does not exceed it.
const STEADY_SUM: f32 = 14.0;
/// Sum below which such a sound is speech again. It is lower than [`STEADY_SUM`], so that the result does not
/// alternate.
const SPEECH_SUM: f32 = 9.1;

/// Tracks the frames of a lane that stand out from the noise.
#[derive(Clone, Debug, Default)]
pub(super) struct Articulation {
    /// Sum of all weights.
    weight: f32,
    /// Weighted sum of each band's level over the mean of all bands.
    shape: [f32; TELEPHONE_BANDS],
    /// Weighted sum of the squares of these levels.
    shape_squared: [f32; TELEPHONE_BANDS],
    /// Weighted sums of the observations. `loudest` is not used.
    observed: Observation,
    /// Weighted number of frames that are softer than the frame before.
    fading: f32,
    /// Mean level of the bands in the newest frame.
    level: f32,
    /// Loudest bin of the sound, in ln power, with its decay.
    loudest: f32,
    /// Frames that were added, up to [`MIN_FRAMES`].
    frames: usize,
    /// The newest frame's margin, at most [`MAX_MARGIN`] either way. It is 0 until a frame was added.
    margin: f32,
    /// Sum of the evidence against speech: the negated margins, from 0 to [`STEADY_SUM`].
    evidence_against: f32,
    /// Whether the sound is not speech, because the sum reached [`STEADY_SUM`].
    steady: bool,
    /// Frames of the lane since the sum was 0, up to [`MAX_RETRACTED_FRAMES`].
    since_zero: usize,
}

impl Articulation {
    /// Advances by a frame of the lane, whatever it holds.
    pub(super) fn advance(&mut self) {
        self.since_zero = (self.since_zero + 1).min(MAX_RETRACTED_FRAMES);
        self.loudest -= LOUDEST_DECAY;
    }

    /// Accepts a frame that stands out from the noise, and returns its sound. `begins` states whether a sound begins
    /// with the frame.
    pub(super) fn observe(
        &mut self,
        levels: &Levels,
        observed: &Observation,
        begins: bool,
    ) -> Sound {
        if self.steady && begins {
            self.scale(KEPT_AT_BEGIN);
        }
        if begins || self.frames == 0 {
            self.loudest = observed.loudest;
        }
        if observed.loudest < self.loudest - DECAY_RANGE {
            return self.sound();
        }
        self.loudest = self.loudest.max(observed.loudest);
        self.add(levels, observed);
        self.margin = self.newest_margin().clamp(-MAX_MARGIN, MAX_MARGIN);
        self.evidence_against = (self.evidence_against - self.margin).clamp(0.0, STEADY_SUM);
        if self.steady {
            if self.evidence_against < SPEECH_SUM {
                self.steady = false;
                self.evidence_against = 0.0;
                self.since_zero = 0;
            }
        } else if self.evidence_against >= STEADY_SUM {
            self.steady = true;
            return Sound::Steady(self.since_zero);
        } else if self.evidence_against == 0.0 && self.has_enough_frames() {
            self.since_zero = 0;
        }
        self.sound()
    }

    /// Returns the margin of the newest frame that stands out, −1 to 1. The result is 1 until [`MIN_FRAMES`] were
    /// added.
    pub(super) fn margin(&self) -> f32 {
        if self.has_enough_frames() {
            self.margin
        } else {
            MAX_MARGIN
        }
    }

    fn sound(&self) -> Sound {
        if self.steady {
            Sound::Steady(0)
        } else {
            Sound::Speech
        }
    }

    fn has_enough_frames(&self) -> bool {
        self.frames >= MIN_FRAMES
    }

    /// Adds a frame to the sums.
    fn add(&mut self, levels: &Levels, observed: &Observation) {
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
        self.observed.partials += observed.partials;
        self.observed.still += observed.still;
        self.observed.tone += observed.tone;
        self.observed.even += observed.even;
        self.frames = (self.frames + 1).min(MIN_FRAMES);
    }

    /// Multiplies all sums by a factor.
    fn scale(&mut self, factor: f32) {
        self.weight *= factor;
        let shapes = self.shape.iter_mut().chain(&mut self.shape_squared);
        shapes.for_each(|sum| *sum *= factor);
        self.observed.partials *= factor;
        self.observed.still *= factor;
        self.observed.tone *= factor;
        self.observed.even *= factor;
        self.fading *= factor;
    }

    /// Returns the variation of the spectrum's shape, in ln power, minus [`SPEECH_VARIATION`] and minus the weighted
    /// shares that are evidence against speech. Until [`MIN_FRAMES`] were added, only the share of tones counts.
    fn newest_margin(&self) -> f32 {
        let share = self.observed.tone / (self.weight + TONE_PRIOR);
        let tones = TONE_WEIGHT * (share - TONE_SHARE).max(0.0);
        if !self.has_enough_frames() {
            return -tones;
        }
        let still = self.observed.still / self.observed.partials.max(MIN_PARTIALS * self.weight);
        let even = EVEN_WEIGHT * (self.observed.even / self.weight - EVEN_SHARE).max(0.0);
        let fading = FADING_WEIGHT * (self.fading / self.weight - FADING_SHARE).max(0.0);
        self.variation() - SPEECH_VARIATION - STILL_WEIGHT * still - tones - even - fading
    }

    /// Returns the standard deviation of the shape, in ln power: the mean over the bands.
    fn variation(&self) -> f32 {
        let bands = self.shape.iter().zip(self.shape_squared);
        let deviations = bands.map(|(sum, squared)| {
            let mean = sum / self.weight;
            (squared / self.weight - mean * mean).max(0.0).sqrt()
        });
        deviations.sum::<f32>() / TELEPHONE_BANDS as f32
    }
}
