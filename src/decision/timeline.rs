//! Steps to spans of time: turns, and windows of a timeline.

use std::ops::Range;
use std::time::Duration;

use super::{Abstention, Evidence, Prediction, PredictionRule};

/// Shortest window of a timeline: one segment, so that each whole window holds a step.
pub const SHORTEST_WINDOW: Duration = Duration::from_millis(264);

/// One step's place in the lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// When the step's segment begins.
    pub start: Duration,
    /// Whether the segment holds speech.
    pub speech: bool,
}

/// Where the steps of a lane lie.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTimes {
    /// In order; one for each step of the evidence.
    pub steps: Vec<StepTime>,
    /// Length of one segment.
    pub segment: Duration,
    /// Length of the lane.
    pub end: Duration,
}

/// Steps that are one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// By their number in the lane.
    pub steps: Range<usize>,
    /// When it begins, from the start of the audio.
    pub start: Duration,
    /// When it ends.
    pub end: Duration,
}

/// A judged stretch of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// From the start of the audio.
    pub start: Duration,
    /// From the start of the audio.
    pub end: Duration,
    /// What the model says of it.
    pub prediction: Prediction,
    /// Share of its steps that hold speech, 0 to 1.
    pub speech_share: f32,
}

/// Judges spans of a lane.
#[derive(Clone, Copy, Debug)]
pub struct SpanClassifier<'a> {
    /// What the sequence said of each step.
    pub evidence: &'a Evidence,
    /// Where the steps lie.
    pub times: &'a StepTimes,
    /// Pooled logits are divided by this.
    pub temperature: f32,
    /// When to abstain.
    pub rule: PredictionRule,
    /// What is known against every prediction beforehand.
    pub reason: Option<Abstention>,
}

impl SpanClassifier<'_> {
    /// Judges all that is said in the turns; of a lane without one, everything, and abstains. Nothing
    /// if there is no step or the evidence is not finite.
    #[must_use]
    pub fn total(&self, turns: &[Turn]) -> Option<Prediction> {
        let predicted = match turns {
            [] => self.predict(0..self.times.steps.len()),
            turns => self.predict(turns.iter().flat_map(|turn| turn.steps.clone())),
        };
        predicted.map(|(prediction, _)| prediction)
    }

    /// Judges a turn; nothing as for [`SpanClassifier::total`].
    #[must_use]
    pub fn turn(&self, turn: &Turn) -> Option<Span> {
        self.span(turn.steps.clone(), (turn.start, turn.end))
    }

    /// Judges one window after the other. A step belongs to the window in which its segment's middle
    /// lies; a last window too short to hold a step belongs to the one before.
    #[must_use]
    pub fn timeline(&self, window: Duration) -> Vec<Span> {
        let times = self.times;
        let window = window.max(SHORTEST_WINDOW);
        let mut spans: Vec<Span> = Vec::new();
        let mut first = 0;
        let mut start = Duration::ZERO;
        while start < times.end {
            let end = (start + window).min(times.end);
            let inside = times.steps[first..]
                .iter()
                .take_while(|step| step.start + times.segment / 2 < end || end == times.end)
                .count();
            match self.span(first..first + inside, (start, end)) {
                Some(span) => spans.push(span),
                None => {
                    if let Some(last) = spans.last_mut() {
                        last.end = end;
                    }
                }
            }
            first += inside;
            start = end;
        }
        spans
    }

    fn span(&self, steps: Range<usize>, (start, end): (Duration, Duration)) -> Option<Span> {
        let (prediction, speech_share) = self.predict(steps)?;
        Some(Span {
            start,
            end,
            prediction,
            speech_share,
        })
    }

    /// A prediction of some steps, and the share of them that hold speech.
    fn predict(&self, steps: impl Iterator<Item = usize> + Clone) -> Option<(Prediction, f32)> {
        let probabilities = self.evidence.pool(steps.clone(), self.temperature)?;
        let speaks = |step: &usize| self.times.steps.get(*step).is_some_and(|step| step.speech);
        let speech = steps.clone().filter(speaks).count();
        let silent = (speech == 0).then_some(Abstention::NoSpeech);
        let prediction = self.rule.predict(probabilities, self.reason.or(silent));
        Some((prediction, speech as f32 / steps.count() as f32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classifier<'a>((evidence, times): &'a (Evidence, StepTimes)) -> SpanClassifier<'a> {
        SpanClassifier {
            evidence,
            times,
            temperature: 1.0,
            rule: PredictionRule { abstain_below: 0.0 },
            reason: None,
        }
    }

    /// Steps each 128 ms; step t is sure of label t mod 2 and speaks if `speech(t)`.
    fn lane(steps: usize, speech: impl Fn(usize) -> bool) -> (Evidence, StepTimes) {
        let mut evidence = Evidence::new(2);
        let mut times = StepTimes {
            steps: Vec::new(),
            segment: Duration::from_millis(264),
            end: Duration::from_millis(128 * steps as u64 + 136),
        };
        for t in 0..steps {
            let label = if t % 2 == 0 { [9.0, 0.0] } else { [0.0, 9.0] };
            evidence.extend(&label, &[0.0]);
            let start = Duration::from_millis(128 * t as u64);
            times.steps.push(StepTime {
                start,
                speech: speech(t),
            });
        }
        (evidence, times)
    }

    #[test]
    fn windows_cover_the_lane_without_gap_and_each_step_once() {
        for steps in 1..60 {
            let lane = lane(steps, |_| true);
            for window in [264, 300, 1_000, 5_000].map(Duration::from_millis) {
                let spans = classifier(&lane).timeline(window);
                assert_eq!(spans[0].start, Duration::ZERO, "{steps} steps, {window:?}");
                assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert_eq!(spans[spans.len() - 1].end, lane.1.end);
            }
        }
    }

    #[test]
    fn a_silent_window_abstains_and_the_total_does_not() {
        let lane = lane(16, |t| t < 4);
        let classifier = classifier(&lane);
        let spans = classifier.timeline(Duration::from_secs(1));
        let reasons: Vec<_> = spans
            .iter()
            .map(|span| span.prediction.abstention)
            .collect();
        assert_eq!(
            reasons,
            [None, Some(Abstention::NoSpeech), Some(Abstention::NoSpeech)]
        );
        let all = Turn {
            steps: 0..16,
            start: Duration::ZERO,
            end: lane.1.end,
        };
        let turn = classifier.turn(&all).unwrap();
        assert_eq!(
            (turn.prediction.abstention, turn.speech_share),
            (None, 0.25)
        );
        assert_eq!((turn.start, turn.end), (Duration::ZERO, lane.1.end));
        assert_eq!(classifier.total(&[all]).unwrap(), turn.prediction);
    }

    #[test]
    fn turns_alone_decide_the_total_and_without_one_it_abstains() {
        let (spoken, silent) = (lane(16, |t| t == 4 || t == 8), lane(16, |_| false));
        // Even steps are sure of label 0, odd ones of label 1.
        let turn = |steps: Range<usize>| Turn {
            start: spoken.1.steps[steps.start].start,
            end: spoken.1.end,
            steps,
        };
        let total = classifier(&spoken)
            .total(&[turn(4..5), turn(8..9)])
            .unwrap();
        assert_eq!((total.label, total.abstention), (0, None));
        assert!(total.confidence() > 0.99);
        let total = classifier(&spoken)
            .total(&[turn(4..5), turn(7..9)])
            .unwrap();
        assert!(total.confidence() < 0.99);
        // Its steps would not be marked if there were no turn.
        let total = classifier(&silent).total(&[]).unwrap();
        assert_eq!(total.abstention, Some(Abstention::NoSpeech));
    }
}
