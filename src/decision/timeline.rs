//! Steps to spans of time: turns, and windows of a timeline.

use std::ops::Range;
use std::time::Duration;

use super::{Abstention, Evidence, Judgement, Rule};

/// Shortest window of a timeline: one segment, so that each whole window holds a step.
pub const SHORTEST_WINDOW: Duration = Duration::from_millis(264);

/// A turn is clearly articulated from the first value on, if so many of its steps hold speech (a second at the default
/// hop), and below the last value it may be music. The design page has the shares of speech and music on either side.
const ARTICULATED: f32 = 0.4;
const ARTICULATED_STEPS: usize = 8;
const UNARTICULATED: f32 = 0.25;

/// One step's place in the lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When the step's segment begins.
    pub start: Duration,
    /// Whether the segment holds speech.
    pub speech: bool,
}

/// Where the steps of a lane lie.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTimes {
    /// In order; one for each step of the evidence.
    pub steps: Vec<Step>,
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
    /// How far it is articulated, as speech is, −1 to 1: the mean over its steps that hold speech.
    pub articulation: f32,
}

/// A judged stretch of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// From the start of the audio.
    pub start: Duration,
    /// From the start of the audio.
    pub end: Duration,
    /// What the model says of it.
    pub judgement: Judgement,
    /// Share of its steps that hold speech, 0 to 1.
    pub speech_share: f32,
}

/// Judges spans of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// What the sequence said of each step.
    pub evidence: &'a Evidence,
    /// Where the steps lie.
    pub times: &'a StepTimes,
    /// Pooled logits are divided by this.
    pub temperature: f32,
    /// When to abstain.
    pub rule: Rule,
    /// What is known against every judgement beforehand.
    pub reason: Option<Abstention>,
}

impl Judge<'_> {
    /// Judges all that is said in the turns; of a lane without one, everything, and abstains. Where a turn is clearly
    /// articulated, those that may be music have no part in it. Nothing if there is no step or the evidence is not
    /// finite.
    #[must_use]
    pub fn total(&self, turns: &[Turn]) -> Option<Judgement> {
        let clear = |turn: &Turn| {
            let certain = self.spoken(turn.steps.clone()) >= ARTICULATED_STEPS;
            certain && turn.articulation >= ARTICULATED
        };
        let any_clear = turns.iter().any(clear);
        let music = |turn: &Turn| any_clear && turn.articulation < UNARTICULATED;
        let counted = turns.iter().filter(|turn| !music(turn));
        let judged = match turns {
            [] => self.judge(0..self.times.steps.len()),
            _ => self.judge(counted.flat_map(|turn| turn.steps.clone())),
        };
        judged.map(|(judgement, _)| judgement)
    }

    /// Judges a turn; nothing as for [`Judge::total`].
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
        let (judgement, speech_share) = self.judge(steps)?;
        Some(Span {
            start,
            end,
            judgement,
            speech_share,
        })
    }

    /// A judgement of some steps, and the share of them that hold speech.
    fn judge(&self, steps: impl Iterator<Item = usize> + Clone) -> Option<(Judgement, f32)> {
        let probabilities = self.evidence.pool(steps.clone(), self.temperature)?;
        let speech = self.spoken(steps.clone());
        let silent = (speech == 0).then_some(Abstention::NoSpeech);
        let judgement = self.rule.judge(probabilities, self.reason.or(silent));
        Some((judgement, speech as f32 / steps.count() as f32))
    }

    /// How many of some steps hold speech.
    fn spoken(&self, steps: impl Iterator<Item = usize>) -> usize {
        let speaks = |step: &usize| self.times.steps.get(*step).is_some_and(|step| step.speech);
        steps.filter(speaks).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge<'a>((evidence, times): &'a (Evidence, StepTimes)) -> Judge<'a> {
        Judge {
            evidence,
            times,
            temperature: 1.0,
            rule: Rule { abstain_below: 0.0 },
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
            times.steps.push(Step {
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
                let spans = judge(&lane).timeline(window);
                assert_eq!(spans[0].start, Duration::ZERO, "{steps} steps, {window:?}");
                assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert_eq!(spans[spans.len() - 1].end, lane.1.end);
            }
        }
    }

    #[test]
    fn a_silent_window_abstains_and_the_total_does_not() {
        let lane = lane(16, |t| t < 4);
        let judge = judge(&lane);
        let spans = judge.timeline(Duration::from_secs(1));
        let reasons: Vec<_> = spans.iter().map(|span| span.judgement.abstention).collect();
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
        let turn = judge.turn(&all).unwrap();
        assert_eq!((turn.judgement.abstention, turn.speech_share), (None, 0.25));
        assert_eq!((turn.start, turn.end), (Duration::ZERO, lane.1.end));
        assert_eq!(judge.total(&[all]).unwrap(), turn.judgement);
    }

    #[test]
    fn turns_alone_decide_the_total_and_without_one_it_abstains() {
        let (spoken, silent) = (lane(16, |t| t == 4 || t == 8), lane(16, |_| false));
        // Even steps are sure of label 0, odd ones of label 1.
        let turn = |steps: Range<usize>| Turn {
            start: spoken.1.steps[steps.start].start,
            end: spoken.1.end,
            articulation: 0.0,
            steps,
        };
        let total = judge(&spoken).total(&[turn(4..5), turn(8..9)]).unwrap();
        assert_eq!((total.label, total.abstention), (0, None));
        assert!(total.confidence() > 0.99);
        let total = judge(&spoken).total(&[turn(4..5), turn(7..9)]).unwrap();
        assert!(total.confidence() < 0.99);
        // Its steps would not be marked if there were no turn.
        let total = judge(&silent).total(&[]).unwrap();
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
        let judge = judge(&lane);
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
            let total = judge.total(&[turn(0..40, first), turn(41..60, second)]);
            assert_eq!(total.unwrap().label, label, "{first}, {second}");
        }
        // Less than a second may be articulated by chance.
        let total = judge.total(&[turn(10..40, 0.1), turn(41..48, 0.9)]);
        assert_eq!(total.unwrap().label, 0);
        let all = judge.total(&[turn(0..40, 0.7), turn(40..60, 0.6)]).unwrap();
        let pooled = lane.0.pool(0..60, 1.0).unwrap();
        assert_eq!(all.probabilities, pooled);
    }
}
