//! From test predictions to the figures of a report: accuracies with their intervals over speakers,
//! calibration, and the spread over folds and seeds.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::evaluate::metrics::{
    Confusion, Interval, Spread, bootstrap, brier, by_group, calibration_error, risk_coverage,
};
use crate::evaluate::tested::{TestPrediction, TestedRun};

/// Seed of the resampling of speakers.
pub const SEED: u64 = 1;

/// A figure with its 95 % interval over speakers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Its interval.
    #[serde(flatten)]
    pub interval: Interval,
}

impl Figure {
    /// Formats the figure in per cent, with the interval in brackets.
    #[must_use]
    pub fn percent(&self) -> String {
        let Interval { low, high } = self.interval;
        let [value, low, high] = [self.value, low, high].map(|share| 100.0 * share);
        format!("{value:.1} ({low:.1}–{high:.1})")
    }
}

/// The figures of a group of predictions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Number of utterances; an utterance counts once, whatever the number of seeds.
    pub utterances: usize,
    /// Number of speakers.
    pub speakers: usize,
    /// Unweighted accuracy: the mean recall.
    #[serde(rename = "UA")]
    pub ua: Figure,
    /// Weighted accuracy: the share of correct predictions.
    #[serde(rename = "WA")]
    pub wa: Figure,
    /// Macro F1.
    #[serde(rename = "F1")]
    pub f1: Figure,
    /// UA of a constant prediction.
    pub chance_ua: f64,
    /// WA of always predicting the most frequent class.
    pub chance_wa: f64,
    /// Counts over all seeds.
    pub confusion: Confusion,
    /// Recall of each class, if it occurs.
    pub recalls: Vec<Option<f64>>,
    /// Precision of each class, if it was predicted.
    pub precisions: Vec<Option<f64>>,
    /// Expected calibration error.
    pub calibration_error: f64,
    /// Brier score, 0 to 2.
    pub brier: f64,
    /// Area under the risk–coverage curve.
    pub aurc: f64,
}

impl Figures {
    /// Computes the figures of predictions on K classes.
    ///
    /// # Errors
    /// If there are no predictions.
    pub fn of(classes: usize, predictions: &[&TestPrediction]) -> Result<Self> {
        let speakers: Vec<Confusion> = by_speaker(classes, predictions).into_values().collect();
        let confusion: Confusion = speakers.iter().sum();
        let figure = |statistic: fn(&Confusion) -> f64| -> Result<Figure> {
            Ok(Figure {
                value: statistic(&confusion),
                interval: bootstrap(&speakers, statistic, SEED)?,
            })
        };
        let mut paths: Vec<&str> = predictions.iter().map(|v| v.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        let probabilities: Vec<Vec<f32>> = predictions
            .iter()
            .map(|v| v.probabilities.clone())
            .collect();
        let labels: Vec<usize> = predictions.iter().map(|v| v.label).collect();
        let sure: Vec<(f32, bool)> = predictions
            .iter()
            .map(|v| (v.confidence(), v.is_right()))
            .collect();
        Ok(Self {
            utterances: paths.len(),
            speakers: speakers.len(),
            ua: figure(Confusion::unweighted_accuracy)?,
            wa: figure(Confusion::weighted_accuracy)?,
            f1: figure(Confusion::macro_f1)?,
            chance_ua: confusion.chance_unweighted(),
            chance_wa: confusion.chance_weighted(),
            recalls: confusion.recalls(),
            precisions: confusion.precisions(),
            calibration_error: calibration_error(&probabilities, &labels),
            brier: brier(&probabilities, &labels),
            aurc: risk_coverage(&sure).area,
            confusion,
        })
    }
}

/// Counts the predictions of each speaker.
#[must_use]
pub fn by_speaker<'a>(
    classes: usize,
    predictions: &[&'a TestPrediction],
) -> BTreeMap<&'a str, Confusion> {
    let counted = |v: &&'a TestPrediction| (v.speaker.as_str(), v.label, v.predicted());
    by_group(classes, predictions.iter().map(counted))
}

/// Groups predictions by corpus.
#[must_use]
pub fn by_corpus<'a>(
    predictions: &[&'a TestPrediction],
) -> BTreeMap<&'a str, Vec<&'a TestPrediction>> {
    let mut corpora: BTreeMap<&str, Vec<&TestPrediction>> = BTreeMap::new();
    for prediction in predictions {
        corpora
            .entry(&prediction.corpus)
            .or_default()
            .push(prediction);
    }
    corpora
}

/// The variation of the accuracies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spreads {
    /// Of UA.
    #[serde(rename = "UA")]
    pub ua: Spread,
    /// Of WA.
    #[serde(rename = "WA")]
    pub wa: Spread,
    /// Of macro F1.
    #[serde(rename = "F1")]
    pub f1: Spread,
}

impl Spreads {
    /// Computes the variation over folds. A fold with several seeds counts once, with their mean.
    #[must_use]
    pub fn over_folds(runs: &[TestedRun]) -> Self {
        let mut folds: BTreeMap<&str, Vec<Confusion>> = BTreeMap::new();
        for run in runs {
            folds.entry(&run.fold).or_default().push(counts(run));
        }
        Self::of(|figure| {
            let mean = |seeds: &Vec<Confusion>| {
                Spread::of(&seeds.iter().map(figure).collect::<Vec<_>>()).mean
            };
            folds.values().map(mean).collect()
        })
    }

    /// Computes the variation over seeds, each with the counts of all its folds.
    #[must_use]
    pub fn over_seeds(runs: &[TestedRun]) -> Self {
        let mut seeds: BTreeMap<u64, Confusion> = BTreeMap::new();
        for run in runs {
            *seeds.entry(run.seed).or_default() += &counts(run);
        }
        Self::of(|figure| seeds.values().map(figure).collect())
    }

    fn of(values: impl Fn(fn(&Confusion) -> f64) -> Vec<f64>) -> Self {
        Self {
            ua: Spread::of(&values(Confusion::unweighted_accuracy)),
            wa: Spread::of(&values(Confusion::weighted_accuracy)),
            f1: Spread::of(&values(Confusion::macro_f1)),
        }
    }
}

/// Counts the predictions of a run.
#[must_use]
pub fn counts(run: &TestedRun) -> Confusion {
    let counted = run.predictions.iter().map(|v| (v.label, v.predicted()));
    Confusion::of(run.classes(), counted)
}
