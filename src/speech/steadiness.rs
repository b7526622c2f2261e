//! What comes and stays is background: speech falls again, syllable by syllable.

use super::bands::{Levels, excess, spread};

/// Speech does not go on for so long without a fall: 576 ms.
pub(super) const STEADY_FRAMES: usize = 72;
/// A pause of so many frames, 64 ms; what comes after it has not gone on before.
const PAUSE_FRAMES: usize = 8;
/// Noise of one level varies by this within [`STEADY_FRAMES`], in ln power, over the root of the band's bins.
const HIGHEST_TO_LEAST: f32 = 2.2;
/// A fall: levels lie by so much more, in ln power, below the highest since the last one.
const FALL: f32 = 0.5;

/// Follows a lane's rises and falls.
#[derive(Clone, Debug)]
pub(super) struct Steadiness {
    /// Highest levels since the last fall.
    highest: Levels,
    /// What noise varies by.
    varies: Levels,
    /// Frames since the last fall or pause.
    going_on: usize,
    /// Frames since one that stood out of the noise.
    pause: usize,
    begins: bool,
}

impl Steadiness {
    pub(super) fn new() -> Self {
        Self {
            highest: [f32::NEG_INFINITY; _],
            varies: spread(HIGHEST_TO_LEAST),
            going_on: 0,
            pause: 0,
            begins: false,
        }
    }

    /// Takes the next frame's levels, and whether they stand out of the noise.
    pub(super) fn process(&mut self, levels: &Levels, stands_out: bool) {
        let least: Levels = std::array::from_fn(|band| levels[band] + self.varies[band]);
        if excess(&self.highest, &least) > FALL {
            self.highest = *levels;
            self.going_on = 0;
        } else {
            self.going_on += 1;
            for (highest, level) in self.highest.iter_mut().zip(levels) {
                *highest = highest.max(*level);
            }
        }
        self.begins = stands_out && self.pause >= PAUSE_FRAMES;
        if self.begins {
            self.going_on = 0;
        }
        self.pause = if stands_out { 0 } else { self.pause + 1 };
    }

    /// Whether something that stands out begins with this frame.
    pub(super) fn begins(&self) -> bool {
        self.begins
    }

    /// Whether this frame and [`STEADY_FRAMES`] before it went on without a fall.
    pub(super) fn steady(&self) -> bool {
        self.going_on >= STEADY_FRAMES
    }
}
