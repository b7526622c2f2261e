//! The sequence's output for each step of a lane, and its pooling over a span.

/// Evidence of T steps of one lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    labels: usize,
    /// `[T, K]`.
    logits: Vec<f32>,
    /// `[T]`.
    scores: Vec<f32>,
}

impl Evidence {
    /// Returns evidence of no steps, for K labels.
    #[must_use]
    pub fn new(labels: usize) -> Self {
        Self {
            labels,
            logits: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Adds steps: logits `[T, K]`, scores `[T]`.
    pub fn extend(&mut self, logits: &[f32], scores: &[f32]) {
        debug_assert_eq!(logits.len(), scores.len() * self.labels);
        self.logits.extend_from_slice(logits);
        self.scores.extend_from_slice(scores);
    }

    /// Returns the number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.scores.len()
    }

    /// Returns the logits of each step, `[T, K]`.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Returns the attention score of each step, `[T]`.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Pools some steps and returns their probabilities, `[K]`. Returns `None` if there is no step, a step does
    /// not exist, or a value is not finite.
    #[must_use]
    pub fn pool(
        &self,
        steps: impl Iterator<Item = usize> + Clone,
        temperature: f32,
    ) -> Option<Vec<f32>> {
        if steps.clone().any(|step| step >= self.steps()) {
            return None;
        }
        let weights = softmax(steps.clone().map(|step| f64::from(self.scores[step])))?;
        let rows = steps.map(|step| &self.logits[step * self.labels..][..self.labels]);
        let mut pooled = vec![0.0; self.labels];
        for (weight, row) in weights.iter().zip(rows) {
            for (sum, logit) in pooled.iter_mut().zip(row) {
                *sum += weight * f64::from(*logit);
            }
        }
        let probabilities = softmax(pooled.iter().map(|logit| logit / f64::from(temperature)))?;
        Some(
            probabilities
                .into_iter()
                .map(|probability| probability as f32)
                .collect(),
        )
    }
}

/// Computes the softmax in f64, so that the sum over an hour of steps is as exact as over a second.
fn softmax(values: impl Iterator<Item = f64> + Clone) -> Option<Vec<f64>> {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.map(|value| (value - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    (sum.is_finite() && sum > 0.0).then(|| powers.into_iter().map(|power| power / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(logits: &[f32], scores: &[f32]) -> Evidence {
        let mut evidence = Evidence::new(2);
        evidence.extend(logits, scores);
        evidence
    }

    #[test]
    fn pooling_weights_steps_by_the_softmax_of_their_scores() {
        // Weights 3/4 and 1/4: pooled logits 0.75·(2, 0) + 0.25·(0, 4) = (1.5, 1).
        let evidence = evidence(&[2.0, 0.0, 0.0, 4.0], &[3f32.ln(), 0.0]);
        let pooled = evidence.pool(0..2, 1.0).unwrap();
        let expected = 1.0 / (1.0 + (-0.5f32).exp());
        assert!((pooled[0] - expected).abs() < 1e-6 && (pooled[0] + pooled[1] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_higher_temperature_gives_the_same_label_less_confidence() {
        let evidence = evidence(&[2.0, 0.0], &[0.0]);
        let (cold, warm) = (
            evidence.pool(0..1, 1.0).unwrap(),
            evidence.pool(0..1, 4.0).unwrap(),
        );
        assert!(cold[0] > warm[0] && warm[0] > 0.5);
    }

    #[test]
    fn separate_steps_are_pooled_together_without_the_steps_between_them() {
        let apart = evidence(&[2.0, 0.0, 0.0, 9.0, 0.0, 4.0], &[1.0, 9.0, 0.0]);
        let joined = evidence(&[2.0, 0.0, 0.0, 4.0], &[1.0, 0.0]);
        assert_eq!(apart.pool([0, 2].into_iter(), 1.0), joined.pool(0..2, 1.0));
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let evidence = evidence(&[1.0, 0.0, 0.0, 1.0], &[1e4, -1e4]);
        assert!(evidence.pool(0..2, 1.0).unwrap()[0] > 0.7);
    }

    #[test]
    fn no_steps_or_values_that_are_not_finite_give_no_probabilities() {
        assert_eq!(evidence(&[1.0, 0.0], &[0.0]).pool(0..0, 1.0), None);
        assert_eq!(evidence(&[1.0, 0.0], &[0.0]).pool(0..2, 1.0), None);
        assert_eq!(evidence(&[f32::NAN, 0.0], &[0.0]).pool(0..1, 1.0), None);
        assert_eq!(evidence(&[1.0, 0.0], &[f32::NAN]).pool(0..1, 1.0), None);
    }
}
