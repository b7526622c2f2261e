//! What is heard in a lane's frames while they are cut into segments: which steps hold speech, the turns,
//! and where the sequence starts anew.

use std::ops::Range;

use super::lane::position;
use crate::bundle::{Manifest, Turns};
use crate::decision::{StepTime, Turn};
use crate::frontend::{self, FRAME_HOP, FRAME_LENGTH, SAMPLE_RATE, Spec};
use crate::speech::{self, Detector, Sound, TurnRule, TurnTracker};

/// What counts as speech and as a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    gate_dbfs: f32,
    rule: TurnRule,
    segment_hop: usize,
    /// A lane is one turn, whatever is heard in it.
    whole: bool,
}

/// What was heard in a lane.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) steps: Vec<StepTime>,
    pub(super) turns: Vec<Turn>,
    /// Steps at which the sequence starts anew, in order; the first is one.
    pub(super) starts: Vec<usize>,
}

/// Hears one lane.
#[derive(Debug)]
pub(super) struct Listener {
    detector: Detector,
    tracker: TurnTracker,
    whole: bool,
    steps: Vec<speech::DetectedStep>,
    turns: Vec<speech::DetectedTurn>,
}

impl Hearing {
    /// As a bundle wants it.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let turns = manifest.turns.unwrap_or_default();
        let Turns {
            least_speech_ms,
            end_silence_ms,
            lead_in_ms,
            lead_out_ms,
        } = turns;
        let frames = |ms: u32| ms as usize * SAMPLE_RATE as usize / 1_000 / FRAME_HOP;
        Self {
            gate_dbfs: manifest.speech_gate.level_dbfs,
            rule: TurnRule {
                least_speech: frames(least_speech_ms),
                end_silence: frames(end_silence_ms),
                lead_in: frames(lead_in_ms),
                lead_out: frames(lead_out_ms),
            },
            segment_hop: manifest.frontend.segment_hop,
            whole: manifest.turns.is_none(),
        }
    }

    /// At the start of a lane.
    pub(super) fn listener(self) -> Listener {
        Listener {
            detector: Detector::new(self.gate_dbfs),
            tracker: TurnTracker::new(self.rule, self.segment_hop),
            whole: self.whole,
            steps: Vec::new(),
            turns: Vec::new(),
        }
    }
}

impl frontend::FrameObserver for Listener {
    fn frame(&mut self, frame: &[f32]) {
        for sound in self.detector.process(frame) {
            self.turns.extend(self.tracker.frame(sound));
            if let Sound::Steady(before) = sound {
                let doubtful = &mut self.steps[self.tracker.first_doubtful(before)..];
                doubtful.iter_mut().for_each(|step| step.speech = false);
            }
        }
    }

    fn segment(&mut self) {
        self.steps.push(self.tracker.segment());
    }
}

impl Listener {
    /// The lane is over, after so many samples.
    pub(super) fn finish(self, spec: &Spec, samples: usize) -> Heard {
        let mut turns = self.turns;
        turns.extend(self.tracker.finish());
        let mut steps: Vec<StepTime> = (0..self.steps.len())
            .map(|step| StepTime {
                start: position(spec.segment_start(step, samples)),
                speech: false,
            })
            .collect();
        // What is in no turn was a noise.
        for step in turns.iter().flat_map(|turn| turn.steps.clone()) {
            steps[step].speech = self.steps[step].speech;
        }
        if self.whole {
            let all = Turn {
                steps: 0..steps.len(),
                start: position(0),
                end: position(samples),
            };
            return Heard {
                steps,
                turns: vec![all],
                starts: vec![0],
            };
        }
        let sample = |frame: usize| (frame * FRAME_HOP).min(samples);
        let span = |frames: &Range<usize>| {
            let end = sample(frames.end) + (FRAME_LENGTH - FRAME_HOP);
            (position(sample(frames.start)), position(end.min(samples)))
        };
        let turns = turns.into_iter().map(|turn| {
            let (start, end) = span(&turn.frames);
            Turn {
                steps: turn.steps,
                start,
                end,
            }
        });
        let begins = self.steps.iter().filter_map(|step| step.begins);
        let mut starts: Vec<usize> = std::iter::once(0).chain(begins).collect();
        // Two that begin with the same step are one start.
        starts.dedup();
        Heard {
            steps,
            turns: turns.collect(),
            starts,
        }
    }
}
