//! Counts of predictions, and the figures that follow from counts alone.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde::{Serialize, Serializer};

use super::mean;

/// Counts of predictions by class: a row per true class, a column per predicted class.
///
/// The default has no classes; adding another confusion gives it as many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// K × K, row after row.
    counts: Vec<u64>,
}

impl Confusion {
    /// Creates an empty confusion of this many classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Counts pairs of (true class, predicted class).
    #[must_use]
    pub fn of(classes: usize, predictions: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut confusion = Self::new(classes);
        for (truth, predicted) in predictions {
            confusion.add(truth, predicted);
        }
        confusion
    }

    /// Counts one prediction; indices outside the classes are not counted.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        if truth < self.classes && predicted < self.classes {
            self.counts[truth * self.classes + predicted] += 1;
        }
    }

    /// Returns the number of classes K.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns how often class `truth` was predicted as class `predicted`; 0 outside the classes.
    #[must_use]
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        if truth < self.classes && predicted < self.classes {
            self.counts[truth * self.classes + predicted]
        } else {
            0
        }
    }

    /// Returns the rows, one for each true class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks_exact(self.classes.max(1))
    }

    /// Returns the number of predictions.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns WA: the share of correct predictions; 0 if there are none.
    #[must_use]
    pub fn weighted_accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes)
            .map(|class| self.count(class, class))
            .sum();
        share(right, self.total()).unwrap_or(0.0)
    }

    /// Returns UA: the mean recall of the classes that occur; 0 if there are none.
    #[must_use]
    pub fn unweighted_accuracy(&self) -> f64 {
        mean((0..self.classes).filter_map(|class| self.recall(class)))
    }

    /// Returns the mean F1 of the classes that occur or were predicted; 0 if there are none.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        mean((0..self.classes).filter_map(|class| {
            let right = self.count(class, class);
            share(
                2 * right,
                self.true_total(class) + self.predicted_total(class),
            )
        }))
    }

    /// Returns the recall of each class; `None` if it does not occur.
    #[must_use]
    pub fn recalls(&self) -> Vec<Option<f64>> {
        (0..self.classes).map(|class| self.recall(class)).collect()
    }

    /// Returns the precision of each class; `None` if it was never predicted.
    #[must_use]
    pub fn precisions(&self) -> Vec<Option<f64>> {
        (0..self.classes)
            .map(|class| share(self.count(class, class), self.predicted_total(class)))
            .collect()
    }

    /// Returns the WA of always predicting the most frequent class.
    #[must_use]
    pub fn chance_weighted(&self) -> f64 {
        let majority = (0..self.classes).map(|class| self.true_total(class)).max();
        share(majority.unwrap_or(0), self.total()).unwrap_or(0.0)
    }

    /// Returns the UA of any constant prediction: one over the number of classes that occur.
    #[must_use]
    pub fn chance_unweighted(&self) -> f64 {
        let occur = (0..self.classes)
            .filter(|&class| self.true_total(class) > 0)
            .count();
        share(1, occur as u64).unwrap_or(0.0)
    }

    /// Formats the counts with recall and precision as a Markdown table; one name for each class.
    #[must_use]
    pub fn markdown(&self, labels: &[String]) -> String {
        let mut text = format!("| truth \\ predicted | {} | recall |\n", labels.join(" | "));
        text += &format!("|---|{}\n", "--:|".repeat(self.classes + 1));
        for ((label, row), recall) in labels.iter().zip(self.rows()).zip(self.recalls()) {
            let counts: Vec<String> = row.iter().map(u64::to_string).collect();
            text += &format!(
                "| {label} | {} | {} |\n",
                counts.join(" | "),
                percent(recall)
            );
        }
        let precisions: Vec<String> = self.precisions().into_iter().map(percent).collect();
        text + &format!("| precision | {} | |\n", precisions.join(" | "))
    }

    /// Formats the counts as a text table with the figures below; one name for each class.
    pub fn display<'a>(&'a self, labels: &'a [String]) -> impl fmt::Display + 'a {
        Labelled {
            confusion: self,
            labels,
        }
    }

    fn recall(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.true_total(class))
    }

    fn true_total(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|predicted| self.count(class, predicted))
            .sum()
    }

    fn predicted_total(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|truth| self.count(truth, class))
            .sum()
    }
}

impl AddAssign<&Self> for Confusion {
    fn add_assign(&mut self, other: &Self) {
        if self.classes < other.classes {
            let mut larger = Self::new(other.classes);
            larger += &*self;
            *self = larger;
        }
        for (truth, row) in other.rows().enumerate() {
            let start = truth * self.classes;
            for (cell, more) in self.counts[start..].iter_mut().zip(row) {
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

/// Serializes a list of rows.
impl Serialize for Confusion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows())
    }
}

struct Labelled<'a> {
    confusion: &'a Confusion,
    labels: &'a [String],
}

impl fmt::Display for Labelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confusion, labels } = self;
        write!(f, "{:<10}", "truth")?;
        for label in *labels {
            write!(f, "{label:>11}")?;
        }
        writeln!(f, "{:>9}", "recall")?;
        for ((label, row), recall) in labels.iter().zip(confusion.rows()).zip(confusion.recalls()) {
            write!(f, "{label:<10}")?;
            for count in row {
                write!(f, "{count:>11}")?;
            }
            writeln!(f, "{:>9}", percent(recall))?;
        }
        write!(f, "{:<10}", "precision")?;
        for precision in confusion.precisions() {
            write!(f, "{:>11}", percent(precision))?;
        }
        writeln!(f)?;
        write!(
            f,
            "UA {} (chance {})  WA {} (chance {})  F1 {}  n {}",
            percent(Some(confusion.unweighted_accuracy())),
            percent(Some(confusion.chance_unweighted())),
            percent(Some(confusion.weighted_accuracy())),
            percent(Some(confusion.chance_weighted())),
            percent(Some(confusion.macro_f1())),
            confusion.total(),
        )
    }
}

/// Counts predictions by a property such as corpus or speaker.
///
/// Items are (group, true class, predicted class).
#[must_use]
pub fn by_group<G: Ord>(
    classes: usize,
    predictions: impl IntoIterator<Item = (G, usize, usize)>,
) -> BTreeMap<G, Confusion> {
    let mut groups: BTreeMap<G, Confusion> = BTreeMap::new();
    for (group, truth, predicted) in predictions {
        groups
            .entry(group)
            .or_insert_with(|| Confusion::new(classes))
            .add(truth, predicted);
    }
    groups
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.1}", 100.0 * share))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::evaluate::metrics) fn confusion<const K: usize>(
        counts: [[u64; K]; K],
    ) -> Confusion {
        Confusion {
            classes: K,
            counts: counts.concat(),
        }
    }

    pub(in crate::evaluate::metrics) fn example() -> Confusion {
        confusion([[8, 1, 1, 0], [0, 15, 0, 5], [3, 0, 7, 0], [1, 4, 0, 5]])
    }

    fn labels() -> Vec<String> {
        ["neutral", "anger", "sadness", "happiness"]
            .map(str::to_owned)
            .to_vec()
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
    fn two_classes_and_seven_count_alike() {
        let two = Confusion::of(2, [(0, 0), (0, 1), (1, 1), (1, 1)]);
        assert!((two.unweighted_accuracy() - 0.75).abs() < 1e-12);
        let seven = Confusion::of(7, [(6, 6), (5, 6), (7, 0), (0, 7)]);
        assert_eq!(seven.total(), 2);
        assert_eq!(seven.count(5, 6), 1);
        assert_eq!(seven.recalls()[6], Some(1.0));
    }

    #[test]
    fn classes_that_do_not_occur_do_not_count() {
        let confusion = Confusion::of(4, [(0, 0), (0, 1), (1, 1), (9, 0)]);
        assert_eq!(confusion.total(), 3);
        assert_eq!(confusion.recalls(), [Some(0.5), Some(1.0), None, None]);
        assert!((confusion.unweighted_accuracy() - 0.75).abs() < 1e-12);
        assert_eq!(confusion.chance_unweighted(), 0.5);
        for nothing in [Confusion::default(), Confusion::new(4)] {
            assert_eq!(nothing.unweighted_accuracy(), 0.0);
            assert_eq!(nothing.weighted_accuracy(), 0.0);
            assert_eq!(nothing.macro_f1(), 0.0);
        }
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
        assert_eq!(example().display(&labels()).to_string(), text);
        let markdown = "\
| truth \\ predicted | neutral | anger | sadness | happiness | recall |
|---|--:|--:|--:|--:|--:|
| neutral | 8 | 1 | 1 | 0 | 80.0 |
| anger | 0 | 15 | 0 | 5 | 75.0 |
| sadness | 3 | 0 | 7 | 0 | 70.0 |
| happiness | 1 | 4 | 0 | 5 | 50.0 |
| precision | 66.7 | 75.0 | 87.5 | 50.0 | |
";
        assert_eq!(example().markdown(&labels()), markdown);
    }

    #[test]
    fn groups_add_up_to_the_whole() {
        let predictions = [("a", 0, 0), ("b", 1, 0), ("a", 3, 3), ("b", 2, 2)];
        let groups = by_group(4, predictions);
        assert_eq!(groups["a"].total(), 2);
        let sum: Confusion = groups.values().sum();
        let whole = Confusion::of(
            4,
            predictions.map(|(_, truth, predicted)| (truth, predicted)),
        );
        assert_eq!(sum, whole);
        assert_eq!(
            serde_json::to_string(&sum).unwrap(),
            "[[1,0,0,0],[1,0,0,0],[0,0,1,0],[0,0,0,1]]"
        );
    }

    proptest! {
        #![proptest_config(replay::defaults())]

        #[test]
        fn figures_are_shares(counts in prop::array::uniform4(prop::array::uniform4(0..50u64))) {
            let confusion = confusion(counts);
            for figure in [
                confusion.weighted_accuracy(), confusion.unweighted_accuracy(), confusion.macro_f1(),
                confusion.chance_weighted(), confusion.chance_unweighted(),
            ] {
                prop_assert!((0.0..=1.0).contains(&figure));
            }
        }
    }
}
