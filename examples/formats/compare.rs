//! Two recordings of one file: how far apart in length, in time, in samples.

use undertone::audio::{Recording, SAMPLE_RATE};

/// Samples of 16 kHz by which one may lead: more than any encoder's delay.
const MAX_LAG: usize = 3_000;

/// Samples over which the lag is sought, where the recording is loudest.
const WINDOW: usize = 8_000;

/// Above this, in dB, two recordings are not out of step.
const IN_STEP: f64 = 30.0;

/// Samples before the end of the shorter one that the resampler's filter reaches into.
const EDGE: usize = 320;

/// Mean power of a lane that is called silent, −70 dBFS, and of what 16 bits cannot tell apart.
const SILENT: f64 = 1e-7;
const SIXTEEN_BITS: f64 = 2.5e-10;

/// Samples this close to each other, in dB, are called equal.
pub(crate) const EQUAL: f64 = 150.0;

/// How two recordings of one file differ.
pub(crate) struct Comparison {
    /// Ours and theirs.
    pub(crate) channels: (usize, usize),
    /// Seconds by which ours is longer.
    pub(crate) longer: f64,
    /// Milliseconds by which ours is later.
    pub(crate) later: f64,
    /// Signal to difference in dB, the worst lane's, once in step; at most [`EQUAL`], which silence
    /// is that differs by less than a step of 16 bits.
    pub(crate) snr: f64,
}

impl Comparison {
    pub(crate) fn of(ours: &Recording, theirs: &Recording) -> Self {
        let pairs = || ours.lanes.iter().zip(&theirs.lanes);
        let worst = |lag| {
            let each = pairs().map(|(a, b)| snr(a, b, lag));
            each.fold(EQUAL, f64::min)
        };
        let straight = worst(0);
        let (lag, snr) = if straight >= IN_STEP {
            (0, straight)
        } else {
            let lag = pairs().next().map_or(0, |(a, b)| lag(a, b));
            let shifted = worst(lag);
            if shifted > straight {
                (lag, shifted)
            } else {
                (0, straight)
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

/// The parts of `ours` and `theirs` that lie over each other when ours is `lag` samples late.
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

/// Samples by which ours is late, by correlation over the loudest stretch.
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
    let likeness = |lag: isize| {
        let from = start.checked_add_signed(lag)?;
        let stretch = ours.get(from..from + window)?;
        Some(stretch.iter().zip(pattern).map(|(a, b)| a * b).sum::<f32>())
    };
    let most = MAX_LAG as isize;
    (-most..=most)
        .filter_map(|lag| Some((lag, likeness(lag)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(lag, _)| lag)
}
