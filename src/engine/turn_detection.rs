//! Detects speech and turns in a lane's frames while they are cut into segments. The result also says at
//! which steps the sequence state is reset.

use std::ops::Range;

use super::sample_time::sample_time;
use crate::bundle::{Manifest, Turns};
use crate::decision::{StepTime, Turn};
use crate::frontend::{self, FRAME_HOP, FRAME_LENGTH, SAMPLE_RATE, Spec};
use crate::speech::{self, Detector, Sound, TurnRule, TurnTracker};

/// The parameters of speech and turn detection.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnDetection {
    gate_dbfs: f32,
    rule: TurnRule,
    segment_hop: usize,
    /// Whether a lane is always one turn.
    one_turn: bool,
}

/// The turns of one lane.
#[derive(Debug)]
pub(super) struct LaneTurns {
    pub(super) steps: Vec<StepTime>,
    pub(super) turns: Vec<Turn>,
    /// Steps at which the sequence state is reset, ascending; the first is 0.
    pub(super) starts: Vec<usize>,
}

/// Detects speech and turns in one lane.
#[derive(Debug)]
pub(super) struct LaneAnalyser {
    detector: Detector,
    tracker: TurnTracker,
    one_turn: bool,
    steps: Vec<speech::DetectedStep>,
    /// The detector's degree of articulation at the end of each step.
    articulation: Vec<f32>,
    turns: Vec<speech::DetectedTurn>,
}

impl TurnDetection {
    /// Returns the parameters that a bundle states.
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
            one_turn: manifest.turns.is_none(),
        }
    }

    /// Returns an analyser at the start of a lane.
    pub(super) fn analyser(self) -> LaneAnalyser {
        LaneAnalyser {
            detector: Detector::new(self.gate_dbfs),
            tracker: TurnTracker::new(self.rule, self.segment_hop),
            one_turn: self.one_turn,
            steps: Vec::new(),
            articulation: Vec::new(),
            turns: Vec::new(),
        }
    }
}

impl frontend::FrameObserver for LaneAnalyser {
    fn frame(&mut self, frame: &[f32]) {
        for sound in self.detector.process(frame) {
            self.turns.extend(self.tracker.frame(sound));
            if let Sound::Steady(before) = sound {
                let retracted = &mut self.steps[self.tracker.first_retracted_step(before)..];
                retracted.iter_mut().for_each(|step| step.speech = false);
            }
        }
    }

    fn segment(&mut self) {
        self.steps.push(self.tracker.segment());
        self.articulation.push(self.detector.articulation());
    }
}

impl LaneAnalyser {
    /// Ends the lane after `samples` samples and returns its turns.
    pub(super) fn finish(self, spec: &Spec, samples: usize) -> LaneTurns {
        let mut turns = self.turns;
        turns.extend(self.tracker.finish());
        let mut steps: Vec<StepTime> = (0..self.steps.len())
            .map(|step| StepTime {
                start: sample_time(spec.segment_start(step, samples)),
                speech: false,
            })
            .collect();
        // Sound outside of every turn was noise.
        for step in turns.iter().flat_map(|turn| turn.steps.clone()) {
            steps[step].speech = self.steps[step].speech;
        }
        if self.one_turn {
            let all = Turn {
                steps: 0..steps.len(),
                start: sample_time(0),
                end: sample_time(samples),
                articulation: 1.0,
            };
            return LaneTurns {
                steps,
                turns: vec![all],
                starts: vec![0],
            };
        }
        let sample = |frame: usize| (frame * FRAME_HOP).min(samples);
        let span = |frames: &Range<usize>| {
            let end = sample(frames.end) + (FRAME_LENGTH - FRAME_HOP);
            (
                sample_time(sample(frames.start)),
                sample_time(end.min(samples)),
            )
        };
        let turns = turns.into_iter().map(|turn| {
            let (start, end) = span(&turn.frames);
            let spoken = turn.steps.clone().filter(|step| self.steps[*step].speech);
            let articulation: f32 = spoken.clone().map(|step| self.articulation[step]).sum();
            Turn {
                articulation: articulation / spoken.count().max(1) as f32,
                steps: turn.steps,
                start,
                end,
            }
        });
        let begins = self.steps.iter().filter_map(|step| step.begins);
        let mut starts: Vec<usize> = std::iter::once(0).chain(begins).collect();
        // Two turns that begin with the same step have one start.
        starts.dedup();
        LaneTurns {
            steps,
            turns: turns.collect(),
            starts,
        }
    }
}
