//! The noise that a lane's speech stands out of.
//!
//! The noise of a band is the least smoothed level of the last one and a half seconds, which a talker
//! does not fill without a gap (minimum statistics: Martin, IEEE Trans. Speech Audio Proc. 9(5), 2001),
//! in the logarithmic domain, where the frames come from.

use super::bands::{Levels, spread};
use super::steadiness::STEADY_FRAMES;
use crate::frontend::{FRAME_LENGTH, POWER_FLOOR};

/// The least level is sought in pieces, of which the oldest is forgotten as a whole.
const PIECES: usize = 8;
/// Frames of a piece; all of them are 1.5 s.
const PIECE_FRAMES: usize = 24;
/// The least level of noise lies below its mean, in ln power, by this over the root of the band's bins:
/// measured on white noise.
const LEAST_TO_MEAN: f32 = 1.8;
/// Levels of a lane's first frames vary as single frames do, and one would pass for the least for long.
const UNSETTLED_FRAMES: usize = 3;
/// Equivalent noise bandwidth of the Hamming window, in bins.
const NOISE_BANDWIDTH: f32 = 1.363;

/// Follows a lane's noise.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    /// Ln power in each band that is noise from the start.
    quiet: f32,
    /// Least levels in each piece.
    least: [Levels; PIECES],
    /// Least levels in all pieces when the newest began, or something was forgotten.
    before: Levels,
    /// From the least to the mean, in each band.
    to_mean: Levels,
    frames: usize,
}

impl Noise {
    /// Noise of up to `gate_dbfs`, spread evenly over the spectrum, is noise without having been heard.
    pub(super) fn new(gate_dbfs: f32) -> Self {
        let power = 10f32.powf(gate_dbfs / 10.0) * NOISE_BANDWIDTH / FRAME_LENGTH as f32;
        let nothing = [f32::INFINITY; _];
        Self {
            quiet: power.max(POWER_FLOOR).ln(),
            least: [nothing; PIECES],
            before: nothing,
            to_mean: spread(LEAST_TO_MEAN),
            frames: 0,
        }
    }

    /// Takes the next frame's levels.
    pub(super) fn process(&mut self, levels: &Levels) {
        if self.frames.is_multiple_of(PIECE_FRAMES) {
            self.least[self.newest()] = [f32::INFINITY; _];
            self.sum_up();
        }
        if self.frames >= UNSETTLED_FRAMES {
            let newest = self.newest();
            for (least, level) in self.least[newest].iter_mut().zip(levels) {
                *least = least.min(*level);
            }
        }
        self.frames += 1;
    }

    /// Mean ln power of each band's noise, as far as it is known.
    pub(super) fn levels(&self) -> Levels {
        let newest = &self.least[(self.frames - 1) / PIECE_FRAMES % PIECES];
        std::array::from_fn(|band| {
            let mean = self.before[band].min(newest[band]) + self.to_mean[band];
            mean.max(self.quiet)
        })
    }

    /// Levels without what is quiet in them, which varies as it likes.
    pub(super) fn audible(&self, levels: &Levels) -> Levels {
        levels.map(|level| level.max(self.quiet))
    }

    /// The last [`STEADY_FRAMES`] were noise: forgets what was before.
    pub(super) fn settle(&mut self) {
        let kept = STEADY_FRAMES / PIECE_FRAMES;
        let newest = (self.frames - 1) / PIECE_FRAMES;
        for back in kept..PIECES {
            self.least[(newest + PIECES - back) % PIECES] = [f32::INFINITY; _];
        }
        self.sum_up();
    }

    /// Seeks the least of all pieces, so that a frame need not.
    fn sum_up(&mut self) {
        self.before = std::array::from_fn(|band| {
            let least = self.least.iter().map(|piece| piece[band]);
            least.fold(f32::INFINITY, f32::min)
        });
    }

    /// The piece that the next frame belongs to.
    fn newest(&self) -> usize {
        self.frames / PIECE_FRAMES % PIECES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_first_frame_is_not_the_lanes_noise() {
        let mut noise = Noise::new(-75.0);
        for frame in 0..30 {
            noise.process(&[if frame == 0 { -16.0 } else { -10.0 }; _]);
        }
        assert!(noise.levels().iter().all(|level| *level > -10.0));
    }

    #[test]
    fn the_least_level_is_forgotten_after_a_second_and_a_half() {
        let mut noise = Noise::new(-75.0);
        let mut hear = |level: f32, frames: usize| {
            (0..frames).for_each(|_| noise.process(&[level; _]));
            noise.levels()[0]
        };
        let soft = hear(-12.0, 48);
        assert_eq!(hear(-8.0, 6 * PIECE_FRAMES), soft);
        assert!(hear(-8.0, 2 * PIECE_FRAMES) > soft + 3.9);
    }
}
