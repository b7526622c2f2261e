//! Probabilities to a label, or to an abstention with its reason.

/// Why a judgement abstains.
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
pub struct Judgement {
    /// Index of the most probable label.
    pub label: usize,
    /// Probability of each label, `[K]`; sums to 1.
    pub probabilities: Vec<f32>,
    /// Why the label should not be relied on, if so.
    pub abstention: Option<Abstention>,
}

impl Judgement {
    /// Probability of the most probable label.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.probabilities.get(self.label).copied().unwrap_or(0.0)
    }
}

/// When a judgement abstains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Below this confidence; 0 never.
    pub abstain_below: f32,
}

impl Rule {
    /// Judges probabilities `[K]`. `reason` is what is known against relying on them beforehand.
    #[must_use]
    pub fn judge(&self, probabilities: Vec<f32>, reason: Option<Abstention>) -> Judgement {
        let by_probability = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1);
        let best = probabilities.iter().enumerate().max_by(by_probability);
        let (label, confidence) =
            best.map_or((0, 0.0), |(label, probability)| (label, *probability));
        let unsure = (confidence < self.abstain_below).then_some(Abstention::LowConfidence);
        Judgement {
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
        let rule = Rule { abstain_below: 0.5 };
        let sure = rule.judge(vec![0.1, 0.6, 0.3], None);
        assert_eq!(
            (sure.label, sure.confidence(), sure.abstention),
            (1, 0.6, None)
        );
        let unsure = rule.judge(vec![0.4, 0.35, 0.25], None);
        assert_eq!(
            (unsure.label, unsure.abstention),
            (0, Some(Abstention::LowConfidence))
        );
    }

    #[test]
    fn a_reason_known_beforehand_comes_first() {
        let judged = Rule { abstain_below: 0.9 }.judge(vec![0.6, 0.4], Some(Abstention::NoSpeech));
        assert_eq!(judged.abstention, Some(Abstention::NoSpeech));
    }
}
