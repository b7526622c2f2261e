//! Uncertainty: intervals from resampling speakers, and the spread over folds and seeds.
//!
//! Speakers are resampled because utterances of one speaker are not independent.

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::{Confusion, mean};

/// Draws of [`bootstrap`], [`paired_bootstrap`] and [`paired_bootstrap_of_means`].
pub const BOOTSTRAP_DRAWS: usize = 2_000;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The 2.5 % quantile.
    pub low: f64,
    /// The 97.5 % quantile.
    pub high: f64,
}

/// Computes the 95 % percentile interval of a statistic over [`BOOTSTRAP_DRAWS`] sets of as many
/// speakers, drawn with replacement. There is one confusion per speaker. The seed decides the draws.
///
/// # Errors
/// If there are no speakers.
pub fn bootstrap(
    speakers: &[Confusion],
    statistic: impl Fn(&Confusion) -> f64,
    seed: u64,
) -> Result<Interval> {
    resample(speakers.len(), seed, |drawn| {
        statistic(&drawn.iter().map(|&speaker| &speakers[speaker]).sum())
    })
}

/// Computes the 95 % percentile interval of the difference in a statistic, first minus second system. There
/// is one pair of confusions per speaker, and each draw uses the same speakers for both systems.
///
/// # Errors
/// If there are no speakers.
pub fn paired_bootstrap(
    speakers: &[(Confusion, Confusion)],
    statistic: impl Fn(&Confusion) -> f64,
    seed: u64,
) -> Result<Interval> {
    resample(speakers.len(), seed, |drawn| {
        let first: Confusion = drawn.iter().map(|&speaker| &speakers[speaker].0).sum();
        let second: Confusion = drawn.iter().map(|&speaker| &speakers[speaker].1).sum();
        statistic(&first) - statistic(&second)
    })
}

/// Computes the 95 % percentile interval of the difference in the mean of a value, first minus second system.
/// Each speaker has pairs of values, and each draw uses the same speakers for both systems.
///
/// # Errors
/// If there are no speakers.
pub fn paired_bootstrap_of_means(speakers: &[Vec<(f64, f64)>], seed: u64) -> Result<Interval> {
    let sums: Vec<(f64, usize)> = speakers
        .iter()
        .map(|pairs| {
            (
                pairs.iter().map(|(first, second)| first - second).sum(),
                pairs.len(),
            )
        })
        .collect();
    resample(sums.len(), seed, |drawn| {
        let sum: f64 = drawn.iter().map(|&speaker| sums[speaker].0).sum();
        let count: usize = drawn.iter().map(|&speaker| sums[speaker].1).sum();
        sum / count.max(1) as f64
    })
}

fn resample(count: usize, seed: u64, value: impl Fn(&[usize]) -> f64) -> Result<Interval> {
    ensure!(count > 0, "no speakers to draw from");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut drawn = vec![0; count];
    let mut values: Vec<f64> = (0..BOOTSTRAP_DRAWS)
        .map(|_| {
            drawn.fill_with(|| rng.random_range(0..count));
            value(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Ok(Interval {
        low: quantile(0.025),
        high: quantile(0.975),
    })
}

/// Mean and standard deviation of a figure over folds, or over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The mean; 0 without values.
    pub mean: f64,
    /// The standard deviation of the sample (n − 1); `None` for fewer than two values.
    pub deviation: Option<f64>,
    /// Number of values.
    pub count: usize,
}

impl Spread {
    /// Computes the spread of values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mean = mean(values.iter().copied());
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let free = values.len().saturating_sub(1);
        Self {
            mean,
            deviation: (free > 0).then(|| (squares / free as f64).sqrt()),
            count: values.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::confusion::tests::{confusion, example};
    use super::*;

    #[test]
    fn the_interval_holds_the_figure_and_widens_with_unlike_speakers() {
        let alike = vec![example(); 20];
        let same = bootstrap(&alike, Confusion::unweighted_accuracy, 1).unwrap();
        assert!((same.high - same.low).abs() < 1e-12);
        let mut unlike = alike;
        for speaker in unlike.iter_mut().step_by(2) {
            *speaker = confusion([[10, 0, 0, 0], [0, 20, 0, 0], [0, 0, 10, 0], [0, 0, 0, 10]]);
        }
        let interval = bootstrap(&unlike, Confusion::unweighted_accuracy, 1).unwrap();
        let whole: Confusion = unlike.iter().sum();
        assert!(interval.low < whole.unweighted_accuracy());
        assert!(interval.high > whole.unweighted_accuracy());
        assert!(interval.high - interval.low > 0.05);
        assert_eq!(
            interval,
            bootstrap(&unlike, Confusion::unweighted_accuracy, 1).unwrap()
        );
        assert!(bootstrap(&[], Confusion::unweighted_accuracy, 1).is_err());
    }

    #[test]
    fn pairing_cancels_what_a_speaker_does_to_both_systems() {
        // Speakers differ widely in how well they are recognised, by one prediction in ten the
        // second system is always worse.
        let speakers: Vec<_> = (1..=10)
            .map(|right| {
                let (wrong, worse) = (10 - right, right - 1);
                (
                    confusion([[right, wrong], [wrong, right]]),
                    confusion([[worse, wrong + 1], [wrong + 1, worse]]),
                )
            })
            .collect();
        let paired = paired_bootstrap(&speakers, Confusion::unweighted_accuracy, 1).unwrap();
        assert!((paired.low - 0.1).abs() < 1e-9, "{paired:?}");
        assert!((paired.high - 0.1).abs() < 1e-9, "{paired:?}");
        let alone: Vec<_> = speakers.into_iter().map(|(first, _)| first).collect();
        let alone = bootstrap(&alone, Confusion::unweighted_accuracy, 1).unwrap();
        assert!(alone.high - alone.low > 0.2);
    }

    #[test]
    fn a_difference_of_means_is_as_sure_as_its_speakers_agree() {
        // A speaker of many values counts as such; all agree on the difference.
        let alike = [
            vec![(0.9, 0.7); 2],
            vec![(0.4, 0.2); 30],
            vec![(0.2, 0.0); 5],
        ];
        let sure = paired_bootstrap_of_means(&alike, 1).unwrap();
        assert!((sure.low - 0.2).abs() < 1e-9 && (sure.high - 0.2).abs() < 1e-9);
        // One speaker of six, with half of all values, makes the whole difference.
        let mut one = vec![vec![(0.5, 0.5); 4]; 5];
        one.push(vec![(0.9, 0.1); 20]);
        let unsure = paired_bootstrap_of_means(&one, 1).unwrap();
        assert!(unsure.low <= 0.0 && unsure.high > 0.4, "{unsure:?}");
        assert!(paired_bootstrap_of_means(&[], 1).is_err());
    }

    #[test]
    fn the_spread_is_that_of_a_sample() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!((spread.mean, spread.count), (5.0, 8));
        assert!((spread.deviation.unwrap() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[3.0]).deviation, None);
    }
}
