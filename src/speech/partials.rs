//! The partials of a frame, and whether they stand still or glide evenly, as those of tones and notes do.
//!
//! Raw frames come in, one [`Observation`] a frame goes out. It depends on the frame and the three frames before it.
//! The decisions page has the figures that the constants were fitted to, under "Speech".

use crate::frontend::BINS;

/// First bin that is searched for partials: 190 Hz. A telephone passes the searched bins.
const FIRST_BIN: usize = 3;
/// Last bin that is searched for partials: 3.7 kHz.
const LAST_BIN: usize = 59;
/// Number of bins that are searched.
const BINS_SEARCHED: usize = LAST_BIN - FIRST_BIN + 1;
/// Least height of a partial over the bins [`FLANK_BINS`] away on both sides, in ln power.
const MIN_HEIGHT: f32 = 1.5;
/// Bins from a partial to those that it is compared with. The window's main lobe is not wider.
const FLANK_BINS: usize = 3;
/// A partial lies less than this below the frame's loudest bin, in ln power (30 dB).
const PARTIAL_RANGE: f32 = 7.0;
/// A partial lies above this level, in ln power.
const MIN_LEVEL: f32 = -20.0;
/// Frames from a frame to the earlier one that it is compared with: 24 ms. The two share no sample.
const LAG: usize = 3;
/// Largest movement of a still partial within [`LAG`] frames, as a share of its frequency: a fifth of a semitone.
const STILL_MOVEMENT: f32 = 0.012;
/// Least value of that limit, in bins. At low frequencies a position is not more exact than this.
const MIN_STILL_LIMIT: f32 = 0.03;
/// Largest value of that limit, in bins. At high frequencies a larger movement is a glide.
const MAX_STILL_LIMIT: f32 = 0.2;
/// The loudest partial is alone if everything outside its skirt lies this far below it, in ln power (22 dB).
const ALONE_MARGIN: f32 = 5.0;
/// Bins on either side of the loudest partial that may hold its own skirt.
const SKIRT_BINS: usize = 4;
/// End of the bins that are searched for other sounds: 6.5 kHz.
const ALONE_END: usize = 104;
/// Largest distance, in bins, of an evenly moving partial from the line through its last two positions.
const MAX_LINE_DISTANCE: f32 = 0.5;
/// Largest change of the loudest level within [`LAG`] frames in even movement, in ln power (1.7 dB).
const MAX_LEVEL_CHANGE: f32 = 0.4;
/// Largest movement of a partial from one frame to the next, in whole bins: 16 kHz a second.
const MAX_MOVEMENT: usize = 2;

/// The partials of one frame as numbers, which [`super::articulation`] averages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observation {
    /// Number of partials.
    pub(super) partials: f32,
    /// Number of partials that stand still.
    pub(super) still: f32,
    /// 1 if the frame is a tone: its loudest partial is alone. Otherwise 0.
    pub(super) tone: f32,
    /// 1 if the loudest partial stands still or glides evenly, at an even level. Otherwise 0.
    pub(super) even: f32,
    /// Level of the loudest bin, in ln power.
    pub(super) loudest: f32,
}

/// Tracks a lane's partials.
#[derive(Clone, Debug)]
pub(super) struct Partials {
    /// Offsets of the partials of the last [`LAG`] frames from the middle of their bins, in bins. NaN if a bin holds
    /// none.
    offsets: [[f32; BINS_SEARCHED]; LAG],
    /// Levels of those frames' loudest bins.
    loudest: [f32; LAG],
    /// Number of frames of the lane.
    frames: usize,
}

impl Partials {
    pub(super) fn new() -> Self {
        Self {
            offsets: [[f32::NAN; BINS_SEARCHED]; LAG],
            loudest: [f32::NEG_INFINITY; LAG],
            frames: 0,
        }
    }

    /// Accepts the next frame, `[129]` in ln power, and returns its observation.
    pub(super) fn observe(&mut self, frame: &[f32]) -> Observation {
        debug_assert_eq!(frame.len(), BINS);
        let (top, loudest) = loudest(frame);
        let oldest = self.frames % LAG;
        self.frames += 1;
        let (partials, still) = self.count(oldest, frame, loudest);
        let change = (loudest - self.loudest[oldest]).abs();
        self.loudest[oldest] = loudest;
        let even =
            change < MAX_LEVEL_CHANGE && self.moves_evenly(oldest, top as f32 + offset(frame, top));
        Observation {
            partials,
            still,
            tone: f32::from(loudest - highest_beside(frame, top) > ALONE_MARGIN),
            even: f32::from(even),
            loudest,
        }
    }

    /// Returns the number of partials in a frame, and the number of those that stand still since the frame in `place`.
    /// The frame's partials then replace those in `place`.
    fn count(&mut self, place: usize, frame: &[f32], loudest: f32) -> (f32, f32) {
        let before = std::mem::replace(&mut self.offsets[place], [f32::NAN; BINS_SEARCHED]);
        let (mut partials, mut still) = (0.0, 0.0);
        let is_partial = find_partials(frame, (loudest - PARTIAL_RANGE).max(MIN_LEVEL));
        for i in (0..BINS_SEARCHED).filter(|i| is_partial[*i]) {
            let bin = FIRST_BIN + i;
            let here = offset(frame, bin);
            self.offsets[place][i] = here;
            partials += 1.0;
            let limit = (STILL_MOVEMENT * bin as f32).clamp(MIN_STILL_LIMIT, MAX_STILL_LIMIT);
            // The partial may have been in a neighbouring bin. If a bin held none, its offset is NaN, which is not less
            // than the limit.
            let stayed = |other: Option<&f32>, distance: f32| {
                other.is_some_and(|other| (here - distance - other).abs() < limit)
            };
            if stayed(before.get(i), 0.0)
                || stayed(before.get(i + 1), 1.0)
                || stayed(before.get(i.wrapping_sub(1)), -1.0)
            {
                still += 1.0;
            }
        }
        (partials, still)
    }

    /// Returns whether a partial moves evenly: whether it lies on a line through the partials nearest to it in the two
    /// frames before. It is at `position`, in bins, in the frame in `place`.
    fn moves_evenly(&self, place: usize, position: f32) -> bool {
        let (newer, older) = ((place + LAG - 1) % LAG, (place + LAG - 2) % LAG);
        let before = self.nearest(newer, position);
        let expected = 2.0 * before - position;
        // If a frame has no such partial, the distance is NaN, which is not less than the limit.
        (self.nearest(older, expected) - expected).abs() < MAX_LINE_DISTANCE
    }

    /// Returns the position, in bins, of the partial nearest to `position` in the frame in `place`. The result is NaN
    /// if there is none within [`MAX_MOVEMENT`].
    fn nearest(&self, place: usize, position: f32) -> f32 {
        // A position that is NaN or below the first bin selects the lowest bins. No partial there is near to it.
        let middle = position.round() as usize;
        let bins = middle.saturating_sub(MAX_MOVEMENT).max(FIRST_BIN)
            ..=(middle + MAX_MOVEMENT).min(LAST_BIN);
        let partials = bins.map(|bin| bin as f32 + self.offsets[place][bin - FIRST_BIN]);
        let distance = |partial: &f32| (partial - position).abs();
        // `total_cmp` orders NaN after every number.
        let nearest = partials.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.unwrap_or(f32::NAN)
    }
}

/// Returns which bins from [`FIRST_BIN`] on are partials of more than the least level. There is no branch in the loop,
/// so that several bins are compared at a time. With branches it took half of the detector's time.
fn find_partials(frame: &[f32], least: f32) -> [bool; BINS_SEARCHED] {
    let from = |bin: usize| frame[bin..].iter();
    let neighbours = from(FIRST_BIN - 1).zip(from(FIRST_BIN + 1));
    let flanks = from(FIRST_BIN - FLANK_BINS).zip(from(FIRST_BIN + FLANK_BINS));
    let mut is_partial = [false; BINS_SEARCHED];
    for (((level, (left, right)), (below, above)), is_partial) in from(FIRST_BIN)
        .zip(neighbours)
        .zip(flanks)
        .zip(&mut is_partial)
    {
        *is_partial = (*level > least)
            & (level > left)
            & (level >= right)
            & (level - below > MIN_HEIGHT)
            & (level - above > MIN_HEIGHT);
    }
    is_partial
}

/// Returns the loudest bin and its level.
fn loudest(frame: &[f32]) -> (usize, f32) {
    let bins = &frame[FIRST_BIN..=LAST_BIN];
    let most = highest(bins);
    let place = bins.iter().position(|level| *level == most);
    (FIRST_BIN + place.unwrap_or(0), most)
}

/// Returns the highest level outside the skirt of the partial in bin `top`.
fn highest_beside(frame: &[f32], top: usize) -> f32 {
    let below = &frame[FIRST_BIN..(top - SKIRT_BINS.min(top)).max(FIRST_BIN)];
    let above = &frame[top + SKIRT_BINS + 1..ALONE_END];
    highest(below).max(highest(above))
}

/// Returns the highest of the levels. Eight are compared at a time.
fn highest(levels: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 8];
    let (eights, rest) = levels.as_chunks::<8>();
    for eight in eights {
        for (lane, level) in lanes.iter_mut().zip(eight) {
            *lane = if level > lane { *level } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

/// Returns the offset of a partial from the middle of its bin, in bins: the top of the parabola through the bin and its
/// neighbours.
fn offset(frame: &[f32], bin: usize) -> f32 {
    let (left, right) = (frame[bin - 1], frame[bin + 1]);
    let curve = left - 2.0 * frame[bin] + right;
    if curve < 0.0 {
        (0.5 * (left - right) / curve).clamp(-0.5, 0.5)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;
    use crate::frontend::Analyser;

    /// Returns the observations of one second of a sound at 16 kHz, without the first three.
    fn observe(sample: impl Fn(f32) -> f32) -> Vec<Observation> {
        let samples: Vec<f32> = (0..16_000).map(|i| sample(i as f32 / 16_000.0)).collect();
        let mut frames = Vec::new();
        Analyser::new().push(&samples, &mut frames);
        let mut partials = Partials::new();
        let observed = frames
            .chunks_exact(BINS)
            .map(|frame| partials.observe(frame));
        observed.skip(LAG).collect()
    }

    fn sine(hertz: f32, seconds: f32) -> f32 {
        (TAU * hertz * seconds).sin()
    }

    #[test]
    fn partials_of_a_chord_stand_still() {
        for observed in observe(|t| 0.1 * (sine(523.0, t) + sine(1_047.0, t) + sine(2_093.0, t))) {
            assert_eq!(
                (observed.partials, observed.still),
                (3.0, 3.0),
                "{observed:?}"
            );
        }
    }

    #[test]
    fn a_sweep_is_a_tone_that_does_not_stand_still() {
        // From 500 Hz to 1.5 kHz in one second.
        for observed in observe(|t| 0.1 * sine(500.0 + 500.0 * t, t)) {
            assert_eq!(
                (observed.partials, observed.tone),
                (1.0, 1.0),
                "{observed:?}"
            );
            assert_eq!((observed.still, observed.even), (0.0, 1.0), "{observed:?}");
        }
    }

    #[test]
    fn partials_of_a_siren_that_jump_in_loudness_move_evenly() {
        // Two harmonics, of which either is the louder in turn. The lower glides between 500 and 1,500 Hz twice a
        // second.
        let siren = |t: f32| {
            let phase = TAU * 1_000.0 * t - 250.0 * (TAU * 2.0 * t).cos();
            let second = if (5.0 * t).fract() < 0.5 { 0.11 } else { 0.09 };
            0.1 * phase.sin() + second * (2.0 * phase).sin()
        };
        let observed = observe(siren);
        let even: f32 = observed.iter().map(|observed| observed.even).sum();
        assert!(
            even > 0.8 * observed.len() as f32,
            "{even} of {}",
            observed.len()
        );
    }

    #[test]
    fn silence_has_no_partials() {
        for observed in observe(|_| 0.0) {
            assert_eq!((observed.partials, observed.still), (0.0, 0.0));
        }
    }
}
