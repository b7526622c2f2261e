//! A frame to bands: their levels, and how far those stand out of others.

use crate::frontend::BINS;

/// First bin of each band, and the end of the last: 125 Hz to 6.5 kHz, wider from 1 kHz on as hearing is.
const EDGES: [usize; BANDS + 1] = [2, 6, 10, 14, 18, 24, 30, 38, 48, 60, 80, 104];
const BANDS: usize = 11;
/// Speech does not fill all bands: what counts is the mean over so many that stand out most.
const TOP_BANDS: usize = BANDS / 2;
/// Weight of the past in a band's level: a memory of some 25 ms.
const SMOOTHING: f32 = 0.7;
/// More than this, in ln power, says no more about a band.
const MOST: f32 = 4.0;

/// Smoothed mean ln power of each band.
pub(super) type Levels = [f32; BANDS];

/// Levels after a frame `[129]` of ln power; without any before it, its own.
pub(super) fn follow(before: Option<&Levels>, frame: &[f32]) -> Levels {
    debug_assert_eq!(frame.len(), BINS);
    std::array::from_fn(|band| {
        let bins = &frame[EDGES[band]..EDGES[band + 1]];
        let now = bins.iter().sum::<f32>() / bins.len() as f32;
        match before {
            Some(before) => SMOOTHING * before[band] + (1.0 - SMOOTHING) * now,
            None => now,
        }
    })
}

/// How far `high` lies over `low` in the bands where it does most, 0 to [`MOST`].
pub(super) fn excess(high: &Levels, low: &Levels) -> f32 {
    let mut above: Levels = std::array::from_fn(|band| (high[band] - low[band]).clamp(0.0, MOST));
    if above == [0.0; _] {
        return 0.0;
    }
    let (_, _, top) = above.select_nth_unstable_by(BANDS - TOP_BANDS - 1, f32::total_cmp);
    top.iter().sum::<f32>() / TOP_BANDS as f32
}

/// The level of the third loudest band.
pub(super) fn third(levels: &Levels) -> f32 {
    let mut levels = *levels;
    *levels.select_nth_unstable_by(BANDS - 3, f32::total_cmp).1
}

/// What noise of one level varies by in each band, where a single bin varies by `bin`: the mean over more
/// bins varies less.
pub(super) fn spread(bin: f32) -> Levels {
    std::array::from_fn(|band| bin / ((EDGES[band + 1] - EDGES[band]) as f32).sqrt())
}
