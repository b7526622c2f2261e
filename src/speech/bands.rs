//! Frequency bands of a frame: their levels, and how far one frame's levels exceed others.

use crate::frontend::BINS;

/// First bin of each band, and the end of the last band: 125 Hz to 6.5 kHz. Bands widen from 1 kHz on, as the ear's
/// critical bands do.
const EDGES: [usize; BANDS + 1] = [2, 6, 10, 14, 18, 24, 30, 38, 48, 60, 80, 104];
/// Number of bands.
const BANDS: usize = 11;
/// Number of bands whose mean is the excess: those that stand out most. Speech does not fill all bands.
const TOP_BANDS: usize = BANDS / 2;
/// Weight of the earlier frames in a band's level. The time constant is 2.8 frames, 22 ms.
const SMOOTHING: f32 = 0.7;
/// Largest excess of a band that counts, in ln power. A larger one is no further evidence of speech.
const MAX_EXCESS: f32 = 4.0;

/// Smoothed mean level of each band's bins, in ln power.
pub(super) type Levels = [f32; BANDS];

/// Returns the levels after a frame `[129]` in ln power. Without earlier levels, they are the frame's own.
pub(super) fn smooth(before: Option<&Levels>, frame: &[f32]) -> Levels {
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

/// Returns the mean excess of `high` over `low` in the [`TOP_BANDS`] bands where it is largest, 0 to [`MAX_EXCESS`].
pub(super) fn excess(high: &Levels, low: &Levels) -> f32 {
    let mut above: Levels =
        std::array::from_fn(|band| (high[band] - low[band]).clamp(0.0, MAX_EXCESS));
    if above == [0.0; _] {
        return 0.0;
    }
    let (_, _, top) = above.select_nth_unstable_by(BANDS - TOP_BANDS - 1, f32::total_cmp);
    top.iter().sum::<f32>() / TOP_BANDS as f32
}

/// Returns the level of the third loudest band.
pub(super) fn third_loudest(levels: &Levels) -> f32 {
    let mut levels = *levels;
    *levels.select_nth_unstable_by(BANDS - 3, f32::total_cmp).1
}

/// Returns the variation of constant noise in each band, if a single bin varies by `bin`. The mean over more bins
/// varies less.
pub(super) fn noise_spread(bin: f32) -> Levels {
    std::array::from_fn(|band| bin / ((EDGES[band + 1] - EDGES[band]) as f32).sqrt())
}
