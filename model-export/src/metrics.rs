//! Metrics: judgements in, figures with their uncertainty out.
//!
//! UA (unweighted accuracy, mean recall) is the figure to compare by; WA (weighted accuracy) is
//! plain accuracy. Intervals come from resampling *speakers*, since utterances of one speaker
//! are not independent. Knows nothing of models.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::corpus::LABELS;

/// Number of classes.
pub const CLASSES: usize = LABELS.len();

/// Draws of [`bootstrap`].
pub const BOOTSTRAP_DRAWS: usize = 2_000;

/// Counts of judgements: row = truth, column = what the model said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// `[truth][said]`, in the order of [`LABELS`].
    pub counts: [[u64; CLASSES]; CLASSES],
}

impl Confusion {
    /// Counts pairs of (truth, said), indices in [`LABELS`].
    #[must_use]
    pub fn of(judgements: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut confusion = Self::default();
        for (truth, said) in judgements {
            confusion.add(truth, said);
        }
        confusion
    }

    /// Counts one judgement; indices that name no class are not counted.
    pub fn add(&mut self, truth: usize, said: usize) {
        if let Some(cell) = self.counts.get_mut(truth).and_then(|row| row.get_mut(said)) {
            *cell += 1;
        }
    }

    /// Judgements counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// WA: the share of right judgements; 0 if there are none.
    #[must_use]
    pub fn weighted_accuracy(&self) -> f64 {
        let right: u64 = (0..CLASSES).map(|class| self.counts[class][class]).sum();
        share(right, self.total()).unwrap_or(0.0)
    }

    /// UA: the mean recall of the classes that occur; 0 if there are none.
    #[must_use]
    pub fn unweighted_accuracy(&self) -> f64 {
        mean(self.recalls().into_iter().flatten())
    }

    /// The mean F1 of the classes that occur or were said; 0 if there are none.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        mean((0..CLASSES).filter_map(|class| {
            let right = self.counts[class][class];
            share(2 * right, self.truths(class) + self.said(class))
        }))
    }

    /// For each class the share of its utterances that were recognised; `None` if it has none.
    #[must_use]
    pub fn recalls(&self) -> [Option<f64>; CLASSES] {
        std::array::from_fn(|class| share(self.counts[class][class], self.truths(class)))
    }

    /// For each class the share of its verdicts that were right; `None` if it was never said.
    #[must_use]
    pub fn precisions(&self) -> [Option<f64>; CLASSES] {
        std::array::from_fn(|class| share(self.counts[class][class], self.said(class)))
    }

    /// WA of always saying the most frequent class.
    #[must_use]
    pub fn chance_weighted(&self) -> f64 {
        let majority = (0..CLASSES).map(|class| self.truths(class)).max();
        share(majority.unwrap_or(0), self.total()).unwrap_or(0.0)
    }

    /// UA of any rule that does not listen: one over the number of classes that occur.
    #[must_use]
    pub fn chance_unweighted(&self) -> f64 {
        let occur = (0..CLASSES).filter(|&class| self.truths(class) > 0).count();
        share(1, occur as u64).unwrap_or(0.0)
    }

    /// The counts with recall and precision as a Markdown table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("| truth \\ said | {} | recall |\n", LABELS.join(" | "));
        text += &format!("|---|{}\n", "--:|".repeat(CLASSES + 1));
        for (class, recall) in self.recalls().into_iter().enumerate() {
            let counts = self.counts[class]
                .map(|count| count.to_string())
                .join(" | ");
            text += &format!("| {} | {counts} | {} |\n", LABELS[class], percent(recall));
        }
        let precisions = self.precisions().map(percent).join(" | ");
        text + &format!("| precision | {precisions} | |\n")
    }

    fn truths(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    fn said(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }
}

impl AddAssign<&Self> for Confusion {
    fn add_assign(&mut self, other: &Self) {
        for (row, more) in self.counts.iter_mut().zip(&other.counts) {
            for (cell, more) in row.iter_mut().zip(more) {
                *cell += more;
            }
        }
    }
}

impl<'a> std::iter::Sum<&'a Self> for Confusion {
    fn sum<I: Iterator<Item = &'a Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// The counts as a text table, with the figures below.
impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10}", "truth")?;
        for label in LABELS {
            write!(f, "{label:>11}")?;
        }
        writeln!(f, "{:>9}", "recall")?;
        for (class, recall) in self.recalls().into_iter().enumerate() {
            write!(f, "{:<10}", LABELS[class])?;
            for count in self.counts[class] {
                write!(f, "{count:>11}")?;
            }
            writeln!(f, "{:>9}", percent(recall))?;
        }
        write!(f, "{:<10}", "precision")?;
        for precision in self.precisions() {
            write!(f, "{:>11}", percent(precision))?;
        }
        writeln!(f)?;
        write!(
            f,
            "UA {} (chance {})  WA {} (chance {})  F1 {}  n {}",
            percent(Some(self.unweighted_accuracy())),
            percent(Some(self.chance_unweighted())),
            percent(Some(self.weighted_accuracy())),
            percent(Some(self.chance_weighted())),
            percent(Some(self.macro_f1())),
            self.total(),
        )
    }
}

/// Confusions by any property of a judgement, such as its corpus or speaker.
///
/// Items are (group, truth, said).
#[must_use]
pub fn by_group<G: Ord>(
    judgements: impl IntoIterator<Item = (G, usize, usize)>,
) -> BTreeMap<G, Confusion> {
    let mut groups: BTreeMap<G, Confusion> = BTreeMap::new();
    for (group, truth, said) in judgements {
        groups.entry(group).or_default().add(truth, said);
    }
    groups
}

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The 2.5 % quantile.
    pub low: f64,
    /// The 97.5 % quantile.
    pub high: f64,
}

/// The 95 % percentile interval of a statistic over [`BOOTSTRAP_DRAWS`] sets of as many
/// speakers, drawn with replacement; one confusion a speaker. The seed decides the draws.
///
/// # Errors
/// If there is no speaker.
pub fn bootstrap(
    speakers: &[Confusion],
    statistic: impl Fn(&Confusion) -> f64,
    seed: u64,
) -> Result<Interval> {
    ensure!(!speakers.is_empty(), "no speakers to draw from");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut values: Vec<f64> = (0..BOOTSTRAP_DRAWS)
        .map(|_| {
            let drawn = (0..speakers.len()).map(|_| &speakers[rng.random_range(0..speakers.len())]);
            statistic(&drawn.sum())
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Ok(Interval {
        low: quantile(0.025),
        high: quantile(0.975),
    })
}

/// Softmax of logits divided by a temperature.
#[must_use]
pub fn softmax<const K: usize>(logits: &[f32; K], temperature: f32) -> [f32; K] {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.map(|logit| ((logit - highest) / temperature).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

/// The class with the highest value; the first of equals.
#[must_use]
pub fn argmax<const K: usize>(values: &[f32; K]) -> usize {
    let mut best = 0;
    for (class, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = class;
        }
    }
    best
}

/// Expected calibration error over ten bins of confidence: the mean distance between confidence
/// and accuracy, 0 to 1; 0 if there is nothing.
///
/// `probabilities` and `labels` go in pairs.
#[must_use]
pub fn calibration_error<const K: usize>(probabilities: &[[f32; K]], labels: &[usize]) -> f64 {
    const BINS: usize = 10;
    let mut confidence = [0.0; BINS];
    let mut right = [0.0; BINS];
    for (probabilities, &label) in probabilities.iter().zip(labels) {
        let said = argmax(probabilities);
        let sure = f64::from(probabilities[said]);
        let bin = ((sure * BINS as f64) as usize).min(BINS - 1);
        confidence[bin] += sure;
        right[bin] += f64::from(u8::from(said == label));
    }
    let count = probabilities.len().min(labels.len());
    let distance: f64 = confidence
        .iter()
        .zip(&right)
        .map(|(c, r)| (c - r).abs())
        .sum();
    distance / count.max(1) as f64
}

/// Mean negative log-likelihood in nats of the labels under logits at a temperature; pairs whose
/// label names no class do not count.
#[must_use]
pub fn negative_log_likelihood<const K: usize>(
    logits: &[[f32; K]],
    labels: &[usize],
    temperature: f32,
) -> f64 {
    mean(logits.iter().zip(labels).filter_map(|(logits, &label)| {
        let scaled = logits.map(|logit| f64::from(logit) / f64::from(temperature));
        let highest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scaled.iter().map(|value| (value - highest).exp()).sum();
        Some(highest + sum.ln() - scaled.get(label)?)
    }))
}

/// The temperature between 0.05 and 20 that makes the labels most likely, by golden-section
/// search over its logarithm. Fit it on validation speakers, never on tested ones.
///
/// # Errors
/// If there is nothing to fit on, the two differ in number, or a logit is not finite.
pub fn fit_temperature<const K: usize>(logits: &[[f32; K]], labels: &[usize]) -> Result<f32> {
    ensure!(
        logits.len() == labels.len() && !labels.is_empty(),
        "a temperature needs one label for each of its utterances: {} and {}",
        labels.len(),
        logits.len(),
    );
    ensure!(
        logits.iter().flatten().all(|logit| logit.is_finite()),
        "a logit is not finite; no temperature can mend that"
    );
    // The likelihood is concave in 1/T, so it has one top over ln T as well.
    let loss = |logarithm: f64| negative_log_likelihood(logits, labels, logarithm.exp() as f32);
    let ratio = (5.0f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.05f64.ln(), 20.0f64.ln());
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    while high - low > 1e-4 {
        if at_left <= at_right {
            high = right;
            (right, at_right) = (left, at_left);
            left = high - ratio * (high - low);
            at_left = loss(left);
        } else {
            low = left;
            (left, at_left) = (right, at_right);
            right = low + ratio * (high - low);
            at_right = loss(right);
        }
    }
    Ok(f64::midpoint(low, high).exp() as f32)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| {
        (sum + value, count + 1)
    });
    sum / count.max(1) as f64
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.1}", 100.0 * share))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Confusion {
        Confusion {
            counts: [[8, 1, 1, 0], [0, 15, 0, 5], [3, 0, 7, 0], [1, 4, 0, 5]],
        }
    }

    #[test]
    fn figures_agree_with_a_calculation_by_hand() {
        let confusion = example();
        assert_eq!(confusion.total(), 50);
        assert!((confusion.weighted_accuracy() - 35.0 / 50.0).abs() < 1e-12);
        assert!((confusion.unweighted_accuracy() - (0.8 + 0.75 + 0.7 + 0.5) / 4.0).abs() < 1e-12);
        let f1 = (16.0 / 22.0 + 30.0 / 40.0 + 14.0 / 18.0 + 10.0 / 20.0) / 4.0;
        assert!((confusion.macro_f1() - f1).abs() < 1e-12);
        assert_eq!(confusion.chance_unweighted(), 0.25);
        assert!((confusion.chance_weighted() - 0.4).abs() < 1e-12);
        assert_eq!(confusion.precisions()[1], Some(0.75));
    }

    #[test]
    fn classes_that_do_not_occur_do_not_count() {
        let confusion = Confusion::of([(0, 0), (0, 1), (1, 1), (9, 0)]);
        assert_eq!(confusion.total(), 3);
        assert_eq!(confusion.recalls(), [Some(0.5), Some(1.0), None, None]);
        assert!((confusion.unweighted_accuracy() - 0.75).abs() < 1e-12);
        assert_eq!(confusion.chance_unweighted(), 0.5);
        let nothing = Confusion::default();
        assert_eq!(nothing.unweighted_accuracy(), 0.0);
        assert_eq!(nothing.weighted_accuracy(), 0.0);
        assert_eq!(nothing.macro_f1(), 0.0);
    }

    #[test]
    fn tables_read_well() {
        let text = "\
truth         neutral      anger    sadness  happiness   recall
neutral             8          1          1          0     80.0
anger               0         15          0          5     75.0
sadness             3          0          7          0     70.0
happiness           1          4          0          5     50.0
precision        66.7       75.0       87.5       50.0
UA 68.8 (chance 25.0)  WA 70.0 (chance 40.0)  F1 68.9  n 50";
        assert_eq!(example().to_string(), text);
        let markdown = "\
| truth \\ said | neutral | anger | sadness | happiness | recall |
|---|--:|--:|--:|--:|--:|
| neutral | 8 | 1 | 1 | 0 | 80.0 |
| anger | 0 | 15 | 0 | 5 | 75.0 |
| sadness | 3 | 0 | 7 | 0 | 70.0 |
| happiness | 1 | 4 | 0 | 5 | 50.0 |
| precision | 66.7 | 75.0 | 87.5 | 50.0 | |
";
        assert_eq!(example().markdown(), markdown);
    }

    #[test]
    fn groups_add_up_to_the_whole() {
        let judgements = [("a", 0, 0), ("b", 1, 0), ("a", 3, 3), ("b", 2, 2)];
        let groups = by_group(judgements);
        assert_eq!(groups["a"].total(), 2);
        let sum: Confusion = groups.values().sum();
        assert_eq!(
            sum,
            Confusion::of(judgements.map(|(_, truth, said)| (truth, said)))
        );
    }

    #[test]
    fn the_interval_holds_the_figure_and_widens_with_unlike_speakers() {
        let alike = vec![example(); 20];
        let same = bootstrap(&alike, Confusion::unweighted_accuracy, 1).unwrap();
        assert!((same.high - same.low).abs() < 1e-12);
        let mut unlike = alike;
        for speaker in unlike.iter_mut().step_by(2) {
            *speaker = Confusion {
                counts: [[10, 0, 0, 0], [0, 20, 0, 0], [0, 0, 10, 0], [0, 0, 0, 10]],
            };
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
    fn calibration_error_is_the_distance_of_confidence_and_accuracy() {
        let probabilities = [[0.75, 0.25]; 4];
        assert!((calibration_error(&probabilities, &[0, 0, 0, 1])).abs() < 1e-6);
        assert!((calibration_error(&probabilities, &[1, 1, 1, 1]) - 0.75).abs() < 1e-6);
        assert!((calibration_error(&[[1.0f32, 0.0]], &[0])).abs() < 1e-6);
        assert_eq!(calibration_error::<2>(&[], &[]), 0.0);
    }

    #[test]
    fn the_temperature_of_overconfident_logits_is_found() {
        // The model says class 0 at odds e⁴, and is right three times in four: odds 3.
        let logits = [[4.0f32, 0.0]; 8];
        let labels = [0, 0, 0, 1, 0, 0, 0, 1];
        let temperature = fit_temperature(&logits, &labels).unwrap();
        assert!(
            (temperature - 4.0 / 3.0f32.ln()).abs() < 1e-2,
            "{temperature}"
        );
        let calm: Vec<_> = logits.iter().map(|l| softmax(l, temperature)).collect();
        assert!(calibration_error(&calm, &labels) < 1e-3);
        assert!(fit_temperature::<2>(&[], &[]).is_err());
        assert!(fit_temperature(&[[f32::NAN, 0.0]], &[0]).is_err());
    }

    proptest! {
        #[test]
        fn no_temperature_on_a_grid_beats_the_fitted_one(
            pairs in prop::collection::vec((prop::array::uniform4(-6.0f32..6.0), 0..4usize), 1..40),
        ) {
            let (logits, labels): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let fitted = fit_temperature(&logits, &labels).unwrap();
            let best = negative_log_likelihood(&logits, &labels, fitted);
            for power in -25..=25 {
                let other = 20.0f32.powf(power as f32 / 25.0).max(0.05);
                prop_assert!(best <= negative_log_likelihood(&logits, &labels, other) + 1e-4);
            }
        }

        #[test]
        fn figures_are_shares(counts in prop::array::uniform4(prop::array::uniform4(0..50u64))) {
            let confusion = Confusion { counts };
            for figure in [
                confusion.weighted_accuracy(), confusion.unweighted_accuracy(), confusion.macro_f1(),
                confusion.chance_weighted(), confusion.chance_unweighted(),
            ] {
                prop_assert!((0.0..=1.0).contains(&figure));
            }
        }
    }
}
