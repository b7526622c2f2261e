//! Probabilities to a label, with a reason if the prediction abstains.

/// Why a prediction abstains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abstention {
    /// The span has no speech.
    NoSpeech,
    /// The lane is shorter than one segment.
    TooShort,
    /// The confidence is below the model's threshold.
    LowConfidence,
}

impl Abstention {
    /// Returns the reason's name, as the command line and metrics write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSpeech => "NO_SPEECH",
            Self::TooShort => "TOO_SHORT",
            Self::LowConfidence => "LOW_CONFIDENCE",
        }
    }
}

/// The model's prediction of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Index of the most probable label.
    pub label: usize,
    /// Probability of each label, `[K]`; sums to 1.
    pub probabilities: Vec<f32>,
    /// Why the prediction abstains, if it does. The label is then not reliable.
    pub abstention: Option<Abstention>,
}

impl Prediction {
    /// Returns the probability of the most probable label.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.probabilities.get(self.label).copied().unwrap_or(0.0)
    }
}

/// The rule for abstaining.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionRule {
    /// A prediction with less confidence abstains. With 0, none does.
    pub abstain_below: f32,
}

impl PredictionRule {
    /// Predicts a label from probabilities, `[K]`. If there is a `reason` to abstain already, it takes
    /// precedence over low confidence.
    #[must_use]
    pub fn predict(&self, probabilities: Vec<f32>, reason: Option<Abstention>) -> Prediction {
        let by_probability = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1);
        let best = probabilities.iter().enumerate().max_by(by_probability);
        let (label, confidence) =
            best.map_or((0, 0.0), |(label, probability)| (label, *probability));
        let unsure = (confidence < self.abstain_below).then_some(Abstention::LowConfidence);
        Prediction {
            label,
            probabilities,
            abstention: reason.or(unsure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_label_is_predicted_and_low_confidence_abstains() {
        let rule = PredictionRule { abstain_below: 0.5 };
        let sure = rule.predict(vec![0.1, 0.6, 0.3], None);
        assert_eq!(
            (sure.label, sure.confidence(), sure.abstention),
            (1, 0.6, None)
        );
        let unsure = rule.predict(vec![0.4, 0.35, 0.25], None);
        assert_eq!(
            (unsure.label, unsure.abstention),
            (0, Some(Abstention::LowConfidence))
        );
    }

    #[test]
    fn an_earlier_reason_takes_precedence_over_low_confidence() {
        let predicted = PredictionRule { abstain_below: 0.9 }
            .predict(vec![0.6, 0.4], Some(Abstention::NoSpeech));
        assert_eq!(predicted.abstention, Some(Abstention::NoSpeech));
    }
}
