//! Confidence: from logits to probabilities, and how well these match the accuracy.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::mean;

/// Bins of confidence, each a tenth wide.
const BINS: usize = 10;

/// Computes the softmax of logits divided by a temperature.
#[must_use]
pub fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits
        .iter()
        .map(|logit| ((logit - highest) / temperature).exp())
        .collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Returns the class with the highest value: the first of equal ones, and 0 if there is none.
#[must_use]
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (class, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = class;
        }
    }
    best
}

/// The predictions with a confidence in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Reliability {
    /// Number of predictions in the bin.
    pub count: usize,
    /// Their mean confidence; 0 if there are none.
    pub confidence: f64,
    /// Their accuracy; 0 if there are none.
    pub accuracy: f64,
}

/// Computes confidence and accuracy in ten bins of equal width: the points of a reliability diagram.
///
/// `probabilities[i]` belongs to `labels[i]`.
#[must_use]
pub fn reliability(probabilities: &[Vec<f32>], labels: &[usize]) -> Vec<Reliability> {
    let mut bins = vec![Reliability::default(); BINS];
    for (probabilities, &label) in probabilities.iter().zip(labels) {
        let predicted = argmax(probabilities);
        let confidence = probabilities.get(predicted).copied().map_or(0.0, f64::from);
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.count += 1;
        bin.confidence += confidence;
        bin.accuracy += f64::from(u8::from(predicted == label));
    }
    for bin in &mut bins {
        bin.confidence /= bin.count.max(1) as f64;
        bin.accuracy /= bin.count.max(1) as f64;
    }
    bins
}

/// Computes the expected calibration error over the bins of [`reliability`]: the mean distance between
/// confidence and accuracy, 0 to 1; 0 without predictions.
#[must_use]
pub fn calibration_error(probabilities: &[Vec<f32>], labels: &[usize]) -> f64 {
    let bins = reliability(probabilities, labels);
    let count: usize = bins.iter().map(|bin| bin.count).sum();
    let distance: f64 = bins
        .iter()
        .map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs())
        .sum();
    distance / count.max(1) as f64
}

/// Computes the Brier score over all classes: the mean squared distance between the probabilities and the
/// truth, 0 to 2. Constant probabilities 1/K score 1 − 1/K. Pairs with a label outside the classes do not count.
#[must_use]
pub fn brier(probabilities: &[Vec<f32>], labels: &[usize]) -> f64 {
    let pairs = probabilities.iter().zip(labels);
    mean(pairs.filter_map(|(probabilities, &label)| {
        let squares = probabilities
            .iter()
            .enumerate()
            .map(|(class, &probability)| {
                let truth = f64::from(u8::from(class == label));
                (f64::from(probability) - truth).powi(2)
            });
        (label < probabilities.len()).then(|| squares.sum::<f64>())
    }))
}

/// Computes the mean negative log-likelihood, in nats, of the labels under logits at a temperature. Pairs
/// with a label outside the classes do not count.
#[must_use]
pub fn negative_log_likelihood(logits: &[Vec<f32>], labels: &[usize], temperature: f32) -> f64 {
    mean(logits.iter().zip(labels).filter_map(|(logits, &label)| {
        let scaled = |logit: f32| f64::from(logit) / f64::from(temperature);
        let values = || logits.iter().map(|&logit| scaled(logit));
        let highest = values().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = values().map(|value| (value - highest).exp()).sum();
        Some(highest + sum.ln() - scaled(*logits.get(label)?))
    }))
}

/// Fits the temperature between 0.05 and 20 that makes the labels most likely, by golden-section search
/// over its logarithm. Fit it on validation speakers, never on test speakers.
///
/// # Errors
/// If there are no utterances, logits and labels differ in number, or a logit is not finite.
pub fn fit_temperature(logits: &[Vec<f32>], labels: &[usize]) -> Result<f32> {
    ensure!(
        logits.len() == labels.len() && !labels.is_empty(),
        "fitting a temperature needs one label per utterance: there are {} labels and {} utterances",
        labels.len(),
        logits.len(),
    );
    ensure!(
        logits.iter().flatten().all(|logit| logit.is_finite()),
        "a logit is not finite: the training has diverged; lower the rate"
    );
    // The likelihood is concave in 1/T, so it has a single maximum over ln T as well.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calibration_error_is_the_distance_of_confidence_and_accuracy() {
        let probabilities = vec![vec![0.75, 0.25]; 4];
        assert!((calibration_error(&probabilities, &[0, 0, 0, 1])).abs() < 1e-6);
        assert!((calibration_error(&probabilities, &[1, 1, 1, 1]) - 0.75).abs() < 1e-6);
        assert!((calibration_error(&[vec![1.0, 0.0]], &[0])).abs() < 1e-6);
        assert_eq!(calibration_error(&[], &[]), 0.0);
    }

    #[test]
    fn bins_hold_what_was_as_sure() {
        let probabilities = [vec![0.95, 0.05], vec![0.0, 1.0], vec![0.45, 0.55]];
        let bins = reliability(&probabilities, &[0, 0, 1]);
        assert_eq!(bins.len(), 10);
        assert_eq!(bins[9].count, 2);
        assert!((bins[9].confidence - 0.975).abs() < 1e-6);
        assert!((bins[9].accuracy - 0.5).abs() < 1e-12);
        assert_eq!((bins[5].count, bins[5].accuracy), (1, 1.0));
        assert_eq!(bins[0], Reliability::default());
    }

    #[test]
    fn the_brier_score_agrees_with_a_calculation_by_hand() {
        let probabilities = [vec![0.5, 0.25, 0.25], vec![0.0, 1.0, 0.0]];
        // 0.25 + 0.0625 + 0.0625, and 1 + 1.
        assert!((brier(&probabilities, &[0, 2]) - f64::midpoint(0.375, 2.0)).abs() < 1e-12);
        let chance = vec![vec![0.25; 4]; 3];
        assert!((brier(&chance, &[0, 1, 3]) - 0.75).abs() < 1e-12);
        assert_eq!(brier(&chance, &[usize::MAX; 3]), 0.0);
    }

    #[test]
    fn the_temperature_of_overconfident_logits_is_found() {
        // The model predicts class 0 at odds e⁴ and is correct three times in four: odds 3.
        let logits = vec![vec![4.0f32, 0.0]; 8];
        let labels = [0, 0, 0, 1, 0, 0, 0, 1];
        let temperature = fit_temperature(&logits, &labels).unwrap();
        assert!(
            (temperature - 4.0 / 3.0f32.ln()).abs() < 1e-2,
            "{temperature}"
        );
        let calm: Vec<_> = logits.iter().map(|l| softmax(l, temperature)).collect();
        assert!(calibration_error(&calm, &labels) < 1e-3);
        assert!(fit_temperature(&[], &[]).is_err());
        assert!(fit_temperature(&[vec![f32::NAN, 0.0]], &[0]).is_err());
    }

    proptest! {
        #![proptest_config(replay::defaults())]

        #[test]
        fn no_temperature_on_a_grid_beats_the_fitted_one(
            pairs in prop::collection::vec((prop::collection::vec(-6.0f32..6.0, 4), 0..4usize), 1..40),
        ) {
            let (logits, labels): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let fitted = fit_temperature(&logits, &labels).unwrap();
            let best = negative_log_likelihood(&logits, &labels, fitted);
            for power in -25..=25 {
                let other = 20.0f32.powf(power as f32 / 25.0).max(0.05);
                prop_assert!(best <= negative_log_likelihood(&logits, &labels, other) + 1e-4);
            }
        }
    }
}
