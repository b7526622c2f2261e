//! Compares two decodings of one file in length, in time and by their samples.

use undertone::audio::{Recording, SAMPLE_RATE};

/// Samples at 16 kHz by which one may be early. This is more than any encoder's delay.
const MAX_LAG: usize = 3_000;

/// Samples that are compared to find the lag, at the loudest part of the recording.
const WINDOW: usize = 8_000;

/// Above this ratio in dB, two recordings are not shifted against each other.
const ALIGNED: f64 = 30.0;

/// Samples before the end of the shorter one that are ignored, because the resampler's filter changes them.
const EDGE: usize = 320;

/// Mean power of a lane that counts as silent, −70 dBFS.
const SILENT: f64 = 1e-7;

/// Mean power of a difference smaller than the steps of 16 bits.
const SIXTEEN_BITS: f64 = 2.5e-10;

/// Ratio in dB from which samples count as equal.
pub(crate) const EQUAL: f64 = 150.0;

/// The difference of two decodings of one file.
pub(crate) struct Comparison {
    /// Lanes of undertone's decoding and of ffmpeg's.
    pub(crate) channels: (usize, usize),
    /// Seconds by which undertone's is longer.
    pub(crate) longer: f64,
    /// Milliseconds by which undertone's is later.
    pub(crate) later: f64,
    /// Ratio of signal to difference in dB after alignment, for the worst lane. It is at most [`EQUAL`]. Silence that
    /// differs by less than a step of 16 bits also has [`EQUAL`].
    pub(crate) snr: f64,
}

impl Comparison {
    pub(crate) fn of(ours: &Recording, theirs: &Recording) -> Self {
        let pairs = || ours.lanes.iter().zip(&theirs.lanes);
        let worst = |lag| {
            let each = pairs().map(|(a, b)| snr(a, b, lag));
            each.fold(EQUAL, f64::min)
        };
        let unshifted = worst(0);
        let (lag, snr) = if unshifted >= ALIGNED {
            (0, unshifted)
        } else {
            let lag = pairs().next().map_or(0, |(a, b)| lag(a, b));
            let shifted = worst(lag);
            if shifted > unshifted {
                (lag, shifted)
            } else {
                (0, unshifted)
            }
        };
        Self {
            channels: (ours.lanes.len(), theirs.lanes.len()),
            longer: ours.seconds() - theirs.seconds(),
            later: lag as f64 * 1e3 / f64::from(SAMPLE_RATE),
            snr,
        }
    }
}

/// Returns the parts of `ours` and `theirs` that overlap if `ours` is `lag` samples late.
fn overlap<'a>(ours: &'a [f32], theirs: &'a [f32], lag: isize) -> (&'a [f32], &'a [f32]) {
    let shift = lag.unsigned_abs();
    let (ours, theirs) = if lag > 0 {
        (ours.get(shift..).unwrap_or_default(), theirs)
    } else {
        (ours, theirs.get(shift..).unwrap_or_default())
    };
    let mut common = ours.len().min(theirs.len());
    if ours.len() != theirs.len() {
        common = common.saturating_sub(EDGE);
    }
    (&ours[..common], &theirs[..common])
}

fn snr(ours: &[f32], theirs: &[f32], lag: isize) -> f64 {
    let (ours, theirs) = overlap(ours, theirs, lag);
    let power = |f: &dyn Fn(usize) -> f64| (0..ours.len()).map(|i| f(i).powi(2)).sum::<f64>();
    let signal = power(&|i| f64::from(theirs[i]));
    let noise = power(&|i| f64::from(theirs[i]) - f64::from(ours[i]));
    let length = ours.len() as f64;
    let silent = signal < SILENT * length && noise < SIXTEEN_BITS * length;
    if noise == 0.0 || silent {
        return EQUAL;
    }
    (10.0 * (signal / noise).log10()).min(EQUAL)
}

/// Returns the samples by which `ours` is late, by correlation with the loudest part.
fn lag(ours: &[f32], theirs: &[f32]) -> isize {
    let window = WINDOW.min(theirs.len());
    let energy = |start: usize| {
        theirs[start..start + window]
            .iter()
            .map(|x| x * x)
            .sum::<f32>()
    };
    let start = (0..=theirs.len() - window)
        .step_by(window.max(2) / 2)
        .max_by(|&a, &b| energy(a).total_cmp(&energy(b)))
        .unwrap_or(0);
    let pattern = &theirs[start..start + window];
    let correlation = |lag: isize| {
        let from = start.checked_add_signed(lag)?;
        let part = ours.get(from..from + window)?;
        Some(part.iter().zip(pattern).map(|(a, b)| a * b).sum::<f32>())
    };
    let most = MAX_LAG as isize;
    (-most..=most)
        .filter_map(|lag| Some((lag, correlation(lag)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(lag, _)| lag)
}
