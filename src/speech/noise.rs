//! Estimation of a lane's noise.
//!
//! Band levels come in, the mean level of the noise in each band goes out. The estimate of a band follows from its
//! lowest smoothed level in the last 1.5 s, because a talker does not fill 1.5 s without a gap (minimum statistics:
//! Martin, IEEE Trans. Speech Audio Proc. 9(5), 2001). Levels are in ln power, because the frames are.

use super::bands::{Levels, noise_spread};
use super::steadiness::STEADY_FRAMES;
use crate::frontend::{FRAME_LENGTH, POWER_FLOOR};

/// Number of pieces of the last 1.5 s. Each piece has its minimum. The oldest piece is dropped as a whole.
const PIECES: usize = 8;
/// Frames of a piece: 192 ms.
const PIECE_FRAMES: usize = 24;
/// Distance from the minimum of noise to its mean, in ln power, for a single bin; measured on white noise. A band's
/// distance is this over the square root of its number of bins.
const MINIMUM_TO_MEAN: f32 = 1.8;
/// Frames at the start of a lane that are left out. Their levels are barely smoothed, so a low one would stay the
/// minimum for 1.5 s.
const UNSETTLED_FRAMES: usize = 3;
/// Equivalent noise bandwidth of the Hamming window, in bins. It relates the gate to the power of a bin.
const NOISE_BANDWIDTH: f32 = 1.363;

/// Tracks a lane's noise.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    /// Level of white noise at the gate, in ln power. It is the same in each band.
    gate: f32,
    /// Minima of each piece.
    minima: [Levels; PIECES],
    /// Minima of all pieces, computed when the newest piece began or pieces were dropped.
    overall: Levels,
    /// Distance from the minimum to the mean in each band.
    minimum_to_mean: Levels,
    /// Number of frames of the lane.
    frames: usize,
}

impl Noise {
    /// Returns the state at the start of a lane. The noise is at least white noise of `gate_dbfs`.
    pub(super) fn new(gate_dbfs: f32) -> Self {
        let power = 10f32.powf(gate_dbfs / 10.0) * NOISE_BANDWIDTH / FRAME_LENGTH as f32;
        let nothing = [f32::INFINITY; _];
        Self {
            gate: power.max(POWER_FLOOR).ln(),
            minima: [nothing; PIECES],
            overall: nothing,
            minimum_to_mean: noise_spread(MINIMUM_TO_MEAN),
            frames: 0,
        }
    }

    /// Accepts the next frame's levels.
    pub(super) fn process(&mut self, levels: &Levels) {
        if self.frames.is_multiple_of(PIECE_FRAMES) {
            self.minima[self.current_piece()] = [f32::INFINITY; _];
            self.update_overall();
        }
        if self.frames >= UNSETTLED_FRAMES {
            let current = self.current_piece();
            for (minimum, level) in self.minima[current].iter_mut().zip(levels) {
                *minimum = minimum.min(*level);
            }
        }
        self.frames += 1;
    }

    /// Returns the estimated mean level of the noise in each band, at least the gate.
    pub(super) fn levels(&self) -> Levels {
        let newest = &self.minima[(self.frames - 1) / PIECE_FRAMES % PIECES];
        std::array::from_fn(|band| {
            let mean = self.overall[band].min(newest[band]) + self.minimum_to_mean[band];
            mean.max(self.gate)
        })
    }

    /// Returns levels of at least the gate, because the variation below the gate is of no interest.
    pub(super) fn raised_to_gate(&self, levels: &Levels) -> Levels {
        levels.map(|level| level.max(self.gate))
    }

    /// Takes the last [`STEADY_FRAMES`] frames for noise: drops the pieces before them.
    pub(super) fn adopt_steady_sound(&mut self) {
        let kept = STEADY_FRAMES / PIECE_FRAMES;
        let newest = (self.frames - 1) / PIECE_FRAMES;
        for back in kept..PIECES {
            self.minima[(newest + PIECES - back) % PIECES] = [f32::INFINITY; _];
        }
        self.update_overall();
    }

    /// Computes the minima of all pieces once, so that it is not done for each frame.
    fn update_overall(&mut self) {
        self.overall = std::array::from_fn(|band| {
            let minima = self.minima.iter().map(|piece| piece[band]);
            minima.fold(f32::INFINITY, f32::min)
        });
    }

    /// Returns the index of the piece that the next frame belongs to.
    fn current_piece(&self) -> usize {
        self.frames / PIECE_FRAMES % PIECES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_first_frame_does_not_set_the_noise() {
        let mut noise = Noise::new(-75.0);
        for frame in 0..30 {
            noise.process(&[if frame == 0 { -16.0 } else { -10.0 }; _]);
        }
        assert!(noise.levels().iter().all(|level| *level > -10.0));
    }

    #[test]
    fn a_minimum_is_dropped_after_a_second_and_a_half() {
        let mut noise = Noise::new(-75.0);
        let mut level_after = |level: f32, frames: usize| {
            (0..frames).for_each(|_| noise.process(&[level; _]));
            noise.levels()[0]
        };
        let soft = level_after(-12.0, 48);
        assert_eq!(level_after(-8.0, 6 * PIECE_FRAMES), soft);
        assert!(level_after(-8.0, 2 * PIECE_FRAMES) > soft + 3.9);
    }
}
