//! Detection of steady sounds.
//!
//! A sound that begins and does not fall is background. Speech falls syllable by syllable. Band levels come in, and
//! whether they stand out from the noise.

use super::bands::{Levels, excess, noise_spread};

/// Frames without a fall after which a sound is steady: 576 ms. Speech falls earlier.
pub(super) const STEADY_FRAMES: usize = 72;
/// Frames of a pause, 64 ms. A sound after it is a new sound.
const PAUSE_FRAMES: usize = 8;
/// Range of the levels of constant noise within [`STEADY_FRAMES`], in ln power, for a single bin. A band's range is
/// this over the square root of its number of bins.
const NOISE_RANGE: f32 = 2.2;
/// A fall is a drop below the highest levels since the last fall by this much more than [`NOISE_RANGE`], in ln power.
const MIN_FALL: f32 = 0.5;

/// Tracks a lane's falls and pauses.
#[derive(Clone, Debug)]
pub(super) struct Steadiness {
    /// Highest levels since the last fall.
    highest: Levels,
    /// Range of constant noise in each band.
    noise_range: Levels,
    /// Frames since the last fall, or since a sound began after a pause.
    since_fall: usize,
    /// Frames since the last one that stood out from the noise.
    pause: usize,
    /// Whether a sound begins with the newest frame.
    begins: bool,
}

impl Steadiness {
    pub(super) fn new() -> Self {
        Self {
            highest: [f32::NEG_INFINITY; _],
            noise_range: noise_spread(NOISE_RANGE),
            since_fall: 0,
            pause: 0,
            begins: false,
        }
    }

    /// Accepts the next frame's levels, and whether they stand out from the noise.
    pub(super) fn process(&mut self, levels: &Levels, stands_out: bool) {
        let within_range: Levels =
            std::array::from_fn(|band| levels[band] + self.noise_range[band]);
        if excess(&self.highest, &within_range) > MIN_FALL {
            self.highest = *levels;
            self.since_fall = 0;
        } else {
            self.since_fall += 1;
            for (highest, level) in self.highest.iter_mut().zip(levels) {
                *highest = highest.max(*level);
            }
        }
        self.begins = stands_out && self.pause >= PAUSE_FRAMES;
        if self.begins {
            self.since_fall = 0;
        }
        self.pause = if stands_out { 0 } else { self.pause + 1 };
    }

    /// Returns whether a sound that stands out begins with the newest frame.
    pub(super) fn begins(&self) -> bool {
        self.begins
    }

    /// Returns whether the newest [`STEADY_FRAMES`] frames had no fall.
    pub(super) fn steady(&self) -> bool {
        self.since_fall >= STEADY_FRAMES
    }
}
