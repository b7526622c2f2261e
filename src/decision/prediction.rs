//! Probabilities to a label, or to an abstention with its reason.

/// Why a prediction abstains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abstention {
    /// No speech was heard.
    NoSpeech,
    /// Less sound than one segment.
    TooShort,
    /// The confidence lies under the model's threshold.
    LowConfidence,
}

impl Abstention {
    /// The reason's name, as the command line and metrics give it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSpeech => "NO_SPEECH",
            Self::TooShort => "TOO_SHORT",
            Self::LowConfidence => "LOW_CONFIDENCE",
        }
    }
}

/// What the model says of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Index of the most probable label.
    pub label: usize,
    /// Probability of each label, `[K]`; sums to 1.
    pub probabilities: Vec<f32>,
    /// Why the label should not be relied on, if so.
    pub abstention: Option<Abstention>,
}

impl Prediction {
    /// Probability of the most probable label.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.probabilities.get(self.label).copied().unwrap_or(0.0)
    }
}

/// When a prediction abstains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionRule {
    /// Below this confidence; 0 never.
    pub abstain_below: f32,
}

impl PredictionRule {
    /// Judges probabilities `[K]`. `reason` is what is known against relying on them beforehand.
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
    fn the_most_probable_label_wins_and_a_weak_one_abstains() {
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
    fn a_reason_known_beforehand_comes_first() {
        let predicted = PredictionRule { abstain_below: 0.9 }
            .predict(vec![0.6, 0.4], Some(Abstention::NoSpeech));
        assert_eq!(predicted.abstention, Some(Abstention::NoSpeech));
    }
}
