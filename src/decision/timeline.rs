//! Steps to spans of time: the turn, and windows of a timeline.

use std::ops::Range;
use std::time::Duration;

use super::{Abstention, Evidence, Judgement, Rule};

/// Shortest window of a timeline: one segment, so that each whole window holds a step.
pub const SHORTEST_WINDOW: Duration = Duration::from_millis(264);

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

/// Judges a lane's only turn, all of it. `reason` is what is known against it beforehand. Nothing
/// if there is no step or the evidence is not finite.
#[must_use]
pub fn turn(
    evidence: &Evidence,
    times: &StepTimes,
    temperature: f32,
    rule: Rule,
    reason: Option<Abstention>,
) -> Option<Span> {
    let all = 0..times.steps.len();
    span(
        evidence,
        times,
        all,
        (Duration::ZERO, times.end),
        temperature,
        rule,
        reason,
    )
}

/// Judges one window after the other. A step belongs to the window in which its segment's middle
/// lies; a last window too short to hold a step belongs to the one before. `reason` is what is known
/// against all of them beforehand.
#[must_use]
pub fn timeline(
    evidence: &Evidence,
    times: &StepTimes,
    window: Duration,
    temperature: f32,
    rule: Rule,
    reason: Option<Abstention>,
) -> Vec<Span> {
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
        let steps = first..first + inside;
        match span(
            evidence,
            times,
            steps,
            (start, end),
            temperature,
            rule,
            reason,
        ) {
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

fn span(
    evidence: &Evidence,
    times: &StepTimes,
    steps: Range<usize>,
    (start, end): (Duration, Duration),
    temperature: f32,
    rule: Rule,
    reason: Option<Abstention>,
) -> Option<Span> {
    let probabilities = evidence.pool(steps.clone(), temperature)?;
    let heard = &times.steps[steps];
    let speech = heard.iter().filter(|step| step.speech).count();
    let silent = (speech == 0).then_some(Abstention::NoSpeech);
    Some(Span {
        start,
        end,
        judgement: rule.judge(probabilities, reason.or(silent)),
        speech_share: speech as f32 / heard.len() as f32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { abstain_below: 0.0 };

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
            let (evidence, times) = lane(steps, |_| true);
            for window in [264, 300, 1_000, 5_000].map(Duration::from_millis) {
                let spans = timeline(&evidence, &times, window, 1.0, RULE, None);
                assert_eq!(spans[0].start, Duration::ZERO, "{steps} steps, {window:?}");
                assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert_eq!(spans[spans.len() - 1].end, times.end);
            }
        }
    }

    #[test]
    fn a_silent_window_abstains_and_the_turn_does_not() {
        let (evidence, times) = lane(16, |t| t < 4);
        let spans = timeline(&evidence, &times, Duration::from_secs(1), 1.0, RULE, None);
        let reasons: Vec<_> = spans.iter().map(|span| span.judgement.abstention).collect();
        assert_eq!(
            reasons,
            [None, Some(Abstention::NoSpeech), Some(Abstention::NoSpeech)]
        );
        let turn = turn(&evidence, &times, 1.0, RULE, None).unwrap();
        assert_eq!((turn.judgement.abstention, turn.speech_share), (None, 0.25));
        assert_eq!((turn.start, turn.end), (Duration::ZERO, times.end));
    }
}
