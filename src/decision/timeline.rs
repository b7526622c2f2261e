//! Predictions of spans of time: turns, windows of a timeline, and the total of a lane.

use std::ops::Range;
use std::time::Duration;

use super::evidence::Evidence;
use super::prediction::{Abstention, Prediction, PredictionRule};

/// Shortest window of a timeline: one segment, so that each whole window contains a step.
pub const SHORTEST_WINDOW: Duration = Duration::from_millis(264);

/// Least articulation of a clearly articulated turn; see [`Turn::articulation`]. The decisions page ("Speech")
/// has the shares of speech and music on either side.
const ARTICULATED: f32 = 0.5;
/// Least speech of a clearly articulated turn. A shorter turn may be articulated by chance.
const ARTICULATED_SPEECH: Duration = Duration::from_secs(1);
/// Below this articulation, a turn may be music.
const UNARTICULATED: f32 = 0.3;

/// The time of one step in the lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// Start of the step's segment.
    pub start: Duration,
    /// Whether the segment contains speech.
    pub speech: bool,
}

/// The times of all steps of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTimes {
    /// One for each step of the evidence, in order.
    pub steps: Vec<StepTime>,
    /// Length of one segment.
    pub segment: Duration,
    /// Length of the lane.
    pub end: Duration,
}

/// One turn of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Numbers of its steps in the lane.
    pub steps: Range<usize>,
    /// Start, from the start of the audio.
    pub start: Duration,
    /// End, from the start of the audio.
    pub end: Duration,
    /// How much its sound changes as articulated speech does, −1 to 1: the mean over its steps that contain speech.
    pub articulation: f32,
}

/// A part of a lane with its prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Start, from the start of the audio.
    pub start: Duration,
    /// End, from the start of the audio.
    pub end: Duration,
    /// The prediction.
    pub prediction: Prediction,
    /// Share of its steps that contain speech, 0 to 1.
    pub speech_share: f32,
}

/// Predicts spans of one lane from its step evidence.
#[derive(Clone, Copy, Debug)]
pub struct SpanClassifier<'a> {
    /// The sequence's output for each step.
    pub evidence: &'a Evidence,
    /// The times of the steps.
    pub times: &'a StepTimes,
    /// Divisor of the pooled logits.
    pub temperature: f32,
    /// The rule for abstaining.
    pub rule: PredictionRule,
    /// Reason for which every prediction of the lane abstains, if there is one.
    pub reason: Option<Abstention>,
}

impl SpanClassifier<'_> {
    /// Predicts all turns together. If one of them is clearly articulated, those that may be music are left out.
    /// Without a turn, pools all steps; the prediction then abstains, because no step outside of a turn contains
    /// speech. Returns `None` if there is no step or the evidence is not finite.
    #[must_use]
    pub fn total(&self, turns: &[Turn]) -> Option<Prediction> {
        let is_clear = |turn: &Turn| {
            turn.articulation >= ARTICULATED
                && self.speech_time(turn.steps.clone()) >= ARTICULATED_SPEECH
        };
        let any_clear = turns.iter().any(is_clear);
        let may_be_music = |turn: &Turn| any_clear && turn.articulation < UNARTICULATED;
        let counted = turns.iter().filter(|turn| !may_be_music(turn));
        let predicted = match turns {
            [] => self.predict(0..self.times.steps.len()),
            _ => self.predict(counted.flat_map(|turn| turn.steps.clone())),
        };
        predicted.map(|(prediction, _)| prediction)
    }

    /// Predicts one turn. Returns `None` in the same cases as [`SpanClassifier::total`].
    #[must_use]
    pub fn turn(&self, turn: &Turn) -> Option<Span> {
        self.span(turn.steps.clone(), turn.start, turn.end)
    }

    /// Predicts successive windows. A step belongs to the window that contains the middle of its segment. If
    /// the last window is too short to contain a step, it is joined to the one before.
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
            match self.span(first..first + inside, start, end) {
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

    fn span(&self, steps: Range<usize>, start: Duration, end: Duration) -> Option<Span> {
        let (prediction, speech_share) = self.predict(steps)?;
        Some(Span {
            start,
            end,
            prediction,
            speech_share,
        })
    }

    /// Predicts some steps, and returns the share of them that contain speech.
    fn predict(&self, steps: impl Iterator<Item = usize> + Clone) -> Option<(Prediction, f32)> {
        let probabilities = self.evidence.pool(steps.clone(), self.temperature)?;
        let speech = self.steps_with_speech(steps.clone());
        let silent = (speech == 0).then_some(Abstention::NoSpeech);
        let prediction = self.rule.predict(probabilities, self.reason.or(silent));
        Some((prediction, speech as f32 / steps.count() as f32))
    }

    /// Returns the time of the steps that contain speech: their number times the time from step to step.
    fn speech_time(&self, steps: Range<usize>) -> Duration {
        let hop = match self.times.steps[..] {
            [first, second, ..] => second.start - first.start,
            _ => self.times.segment,
        };
        let count = u32::try_from(self.steps_with_speech(steps)).unwrap_or(u32::MAX);
        hop.saturating_mul(count)
    }

    /// Returns how many of some steps contain speech.
    fn steps_with_speech(&self, steps: impl Iterator<Item = usize>) -> usize {
        let has_speech = |step: &usize| self.times.steps.get(*step).is_some_and(|step| step.speech);
        steps.filter(has_speech).count()
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

    /// Steps every 128 ms. Step t has label t mod 2 with high confidence, and contains speech if `speech(t)`.
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
    fn windows_cover_the_lane_without_a_gap_and_each_step_once() {
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
            articulation: 1.0,
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
    fn the_total_depends_on_the_turns_alone_and_abstains_without_one() {
        let (spoken, silent) = (lane(16, |t| t == 4 || t == 8), lane(16, |_| false));
        // Even steps have label 0 with high confidence, odd steps label 1.
        let turn = |steps: Range<usize>| Turn {
            start: spoken.1.steps[steps.start].start,
            end: spoken.1.end,
            articulation: 0.0,
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
        // Without a turn, no step is marked as speech.
        let total = classifier(&silent).total(&[]).unwrap();
        assert_eq!(total.abstention, Some(Abstention::NoSpeech));
    }

    #[test]
    fn what_may_be_music_counts_only_where_nothing_is_clearly_articulated() {
        // Steps 0 to 39 are sure of label 0, the rest of label 1.
        let (_, times) = lane(60, |_| true);
        let mut evidence = Evidence::new(2);
        for t in 0..60 {
            evidence.extend(if t < 40 { &[9.0, 0.0] } else { &[0.0, 9.0] }, &[0.0]);
        }
        let lane = (evidence, times);
        let classifier = classifier(&lane);
        let turn = |steps: Range<usize>, articulation: f32| Turn {
            start: Duration::ZERO,
            end: lane.1.end,
            steps,
            articulation,
        };
        for (first, second, label) in [
            (0.1, 0.7, 1),
            (0.7, 0.1, 0),
            (0.1, 0.35, 0),
            (0.1, 0.2, 0),
            (0.6, 0.7, 0),
        ] {
            let total = classifier.total(&[turn(0..40, first), turn(41..60, second)]);
            assert_eq!(total.unwrap().label, label, "{first}, {second}");
        }
        // Less than a second may be articulated by chance.
        let total = classifier.total(&[turn(10..40, 0.1), turn(41..48, 0.9)]);
        assert_eq!(total.unwrap().label, 0);
        let all = classifier
            .total(&[turn(0..40, 0.7), turn(40..60, 0.6)])
            .unwrap();
        let pooled = lane.0.pool(0..60, 1.0).unwrap();
        assert_eq!(all.probabilities, pooled);
    }
}
