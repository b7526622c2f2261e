//! The partials of a frame, and whether they stand still or glide evenly, as those of tones and notes do.
//!
//! Raw frames come in, one [`Observation`] a frame goes out, which depends on this frame and the three before.

use crate::frontend::BINS;

/// Bins in which partials are sought: 190 Hz to 3.7 kHz, which a telephone passes.
const FIRST: usize = 3;
const LAST: usize = 59;
const WIDTH: usize = LAST - FIRST + 1;
/// A partial is higher by this, in ln power, than the bins so many away: the window's main lobe is no wider.
const STANDS_OUT: f32 = 1.5;
const FLANK: usize = 3;
/// Only bins less than this (30 dB) below the frame's loudest count, and only above this level, in ln power.
const RANGE: f32 = 7.0;
const FAINTEST: f32 = -20.0;
/// A frame is compared with the one so many before, with which it shares no sample: 24 ms.
const LAG: usize = 3;
/// A partial stands still if it moves by less than a fifth of a semitone, this share of its frequency, between
/// those two frames. At low frequencies the position is not known better than the least of it, in bins; at high ones
/// more than the most is a glide.
const STILL: f32 = 0.012;
const STILL_LEAST: f32 = 0.03;
const STILL_MOST: f32 = 0.2;
/// The loudest partial stands alone if all that is further from it than its skirt, in bins, lies this far (22 dB) below.
const ALONE: f32 = 5.0;
const SKIRT: usize = 4;
/// End of the bins in which nothing else may be: 6.5 kHz.
const ALONE_END: usize = 104;
/// The loudest partial moves evenly if it lies on a line through the partials nearest to it in the two frames before,
/// to within this many bins, and if the loudest level, in ln power, differs by less than this from the one 24 ms before.
const EVEN_STEP: f32 = 0.5;
const EVEN_LEVEL: f32 = 0.4;
/// A partial moves by no more than so many whole bins, 16 kHz a second, from one frame to the next.
const REACH: usize = 2;

/// What is seen in one frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observation {
    /// How many partials there are, and how many of them stand still.
    pub(super) partials: f32,
    pub(super) still: f32,
    /// 1 if the frame is a tone: its loudest partial stands alone. Otherwise 0.
    pub(super) tone: f32,
    /// 1 if the loudest partial stands or glides evenly at an even level. Otherwise 0.
    pub(super) even: f32,
    /// Level of the loudest bin, in ln power.
    pub(super) loudest: f32,
}

/// Follows a lane's partials.
#[derive(Clone, Debug)]
pub(super) struct Partials {
    /// Where the partials of the last [`LAG`] frames lie, in bins from the middle of theirs; NaN where there is none.
    offsets: [[f32; WIDTH]; LAG],
    /// Levels of those frames' loudest bins.
    loudest: [f32; LAG],
    frames: usize,
}

impl Partials {
    pub(super) fn new() -> Self {
        Self {
            offsets: [[f32::NAN; WIDTH]; LAG],
            loudest: [f32::NEG_INFINITY; LAG],
            frames: 0,
        }
    }

    /// Takes the next frame, `[129]` of ln power.
    pub(super) fn observe(&mut self, frame: &[f32]) -> Observation {
        debug_assert_eq!(frame.len(), BINS);
        let (top, loudest) = loudest(frame);
        let oldest = self.frames % LAG;
        self.frames += 1;
        let (partials, still) = self.count(oldest, frame, loudest);
        let change = (loudest - self.loudest[oldest]).abs();
        self.loudest[oldest] = loudest;
        let even =
            change < EVEN_LEVEL && self.moves_evenly(oldest, top as f32 + offset(frame, top));
        Observation {
            partials,
            still,
            tone: f32::from(loudest - highest_beside(frame, top) > ALONE),
            even: f32::from(even),
            loudest,
        }
    }

    /// How many partials a frame has, and how many of them stand still since the frame in `place`, whose
    /// place it takes.
    fn count(&mut self, place: usize, frame: &[f32], loudest: f32) -> (f32, f32) {
        let before = std::mem::replace(&mut self.offsets[place], [f32::NAN; WIDTH]);
        let (mut partials, mut still) = (0.0, 0.0);
        let stands_out = stands_out(frame, (loudest - RANGE).max(FAINTEST));
        for i in (0..WIDTH).filter(|i| stands_out[*i]) {
            let bin = FIRST + i;
            let here = offset(frame, bin);
            self.offsets[place][i] = here;
            partials += 1.0;
            let most = (STILL * bin as f32).clamp(STILL_LEAST, STILL_MOST);
            // The partial may have been in the next bin; where there was none, NaN is not less than anything.
            let stayed = |other: Option<&f32>, distance: f32| {
                other.is_some_and(|other| (here - distance - other).abs() < most)
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

    /// Whether a partial at this position, in bins, of the frame in `place` lies on a line through the partials
    /// nearest to it in the two frames before.
    fn moves_evenly(&self, place: usize, position: f32) -> bool {
        let (newer, older) = ((place + LAG - 1) % LAG, (place + LAG - 2) % LAG);
        let before = self.nearest(newer, position);
        let expected = 2.0 * before - position;
        // Where there is none, NaN is not less than anything.
        (self.nearest(older, expected) - expected).abs() < EVEN_STEP
    }

    /// Where the partial of the frame in `place` lies that is nearest to a position, in bins; NaN if there is none
    /// in its [`REACH`].
    fn nearest(&self, place: usize, position: f32) -> f32 {
        // A position that is NaN or below the first bin gives the lowest bins, in which nothing is near to it.
        let middle = position.round() as usize;
        let bins = middle.saturating_sub(REACH).max(FIRST)..=(middle + REACH).min(LAST);
        let partials = bins.map(|bin| bin as f32 + self.offsets[place][bin - FIRST]);
        let distance = |partial: &f32| (partial - position).abs();
        // NaN is more than any number.
        let nearest = partials.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.unwrap_or(f32::NAN)
    }
}

/// Which bins from [`FIRST`] on are partials of more than the least level. Without branches, so that several
/// bins are compared at a time: with them it took half of the detector's time.
fn stands_out(frame: &[f32], least: f32) -> [bool; WIDTH] {
    let from = |bin: usize| frame[bin..].iter();
    let neighbours = from(FIRST - 1).zip(from(FIRST + 1));
    let flanks = from(FIRST - FLANK).zip(from(FIRST + FLANK));
    let mut stands_out = [false; WIDTH];
    for (((level, (left, right)), (below, above)), stands_out) in
        from(FIRST).zip(neighbours).zip(flanks).zip(&mut stands_out)
    {
        *stands_out = (*level > least)
            & (level > left)
            & (level >= right)
            & (level - below > STANDS_OUT)
            & (level - above > STANDS_OUT);
    }
    stands_out
}

/// The loudest bin and its level.
fn loudest(frame: &[f32]) -> (usize, f32) {
    let bins = &frame[FIRST..=LAST];
    let most = highest(bins);
    let place = bins.iter().position(|level| *level == most);
    (FIRST + place.unwrap_or(0), most)
}

/// The highest level outside the skirt of the partial at `top`.
fn highest_beside(frame: &[f32], top: usize) -> f32 {
    let below = &frame[FIRST..(top - SKIRT.min(top)).max(FIRST)];
    let above = &frame[top + SKIRT + 1..ALONE_END];
    highest(below).max(highest(above))
}

/// The highest of some levels, eight at a time.
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

/// Where the top of the parabola through a bin and its neighbours lies, in bins from the middle of that bin.
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

    /// What is seen in the frames of a sound at 16 kHz, without the first three.
    fn observe(sample: impl Fn(f32) -> f32) -> Vec<Observation> {
        let samples: Vec<f32> = (0..16_000).map(|i| sample(i as f32 / 16_000.0)).collect();
        let mut frames = Vec::new();
        Analyser::new().push(&samples, &mut frames);
        let mut partials = Partials::new();
        let seen = frames
            .chunks_exact(BINS)
            .map(|frame| partials.observe(frame));
        seen.skip(LAG).collect()
    }

    fn sine(hertz: f32, seconds: f32) -> f32 {
        (TAU * hertz * seconds).sin()
    }

    #[test]
    fn partials_of_a_chord_stand_still() {
        for seen in observe(|t| 0.1 * (sine(523.0, t) + sine(1_047.0, t) + sine(2_093.0, t))) {
            assert_eq!((seen.partials, seen.still), (3.0, 3.0), "{seen:?}");
        }
    }

    #[test]
    fn a_sweep_is_a_tone_that_does_not_stand_still() {
        // From 500 Hz up by 1 kHz a second.
        for seen in observe(|t| 0.1 * sine(500.0 + 500.0 * t, t)) {
            assert_eq!((seen.partials, seen.tone), (1.0, 1.0), "{seen:?}");
            assert_eq!((seen.still, seen.even), (0.0, 1.0), "{seen:?}");
        }
    }

    #[test]
    fn partials_of_a_siren_that_jump_in_loudness_move_evenly() {
        // Two harmonics, now the one and now the other louder, between 500 and 1,500 Hz twice a second.
        let siren = |t: f32| {
            let phase = TAU * 1_000.0 * t - 250.0 * (TAU * 2.0 * t).cos();
            let second = if (5.0 * t).fract() < 0.5 { 0.11 } else { 0.09 };
            0.1 * phase.sin() + second * (2.0 * phase).sin()
        };
        let seen = observe(siren);
        let even: f32 = seen.iter().map(|seen| seen.even).sum();
        assert!(even > 0.8 * seen.len() as f32, "{even} of {}", seen.len());
    }

    #[test]
    fn silence_has_no_partials() {
        for seen in observe(|_| 0.0) {
            assert_eq!((seen.partials, seen.still), (0.0, 0.0));
        }
    }
}
