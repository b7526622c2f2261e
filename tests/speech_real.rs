//! Speech and turns in real recordings: at any level, in chunks of any size, and in noise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::ops::Range;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::audio::{self, Encoding, LaneChoice, Limits};
use undertone::frontend::{BINS, FRAME_HOP, FrameObserver, Segmenter, Segments, Spec};
use undertone::speech::{DetectedTurn, Detector, TurnRule, TurnTracker};

/// A second of silence ends a turn.
const RULE: TurnRule = TurnRule {
    least_speech: 25,
    end_silence: 125,
    lead_in: 187,
    lead_out: 0,
};

struct Ear {
    detector: Detector,
    tracker: TurnTracker,
    turns: Vec<DetectedTurn>,
    begins: Vec<usize>,
}

impl FrameObserver for Ear {
    fn frame(&mut self, frame: &[f32]) {
        for sound in self.detector.process(frame) {
            self.turns.extend(self.tracker.frame(sound));
        }
    }

    fn segment(&mut self) {
        self.begins.extend(self.tracker.segment().begins);
    }
}

/// The turns, and the steps at which one begins.
fn turns(samples: &[f32], chunk: usize) -> (Vec<DetectedTurn>, Vec<usize>) {
    let spec = Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap();
    let mut segmenter = Segmenter::new(Arc::new(spec));
    let mut segments = Segments::default();
    let mut ear = Ear {
        detector: Detector::new(-75.0),
        tracker: TurnTracker::new(RULE, 16),
        turns: Vec::new(),
        begins: Vec::new(),
    };
    for part in samples.chunks(chunk) {
        segments.clear();
        segmenter
            .push_observed(part, &mut segments, &mut ear)
            .unwrap();
    }
    segmenter.finish_observed(&mut segments, &mut ear).unwrap();
    ear.turns.extend(ear.tracker.finish());
    (ear.turns, ear.begins)
}

fn lanes(file: &[u8]) -> Vec<Vec<f32>> {
    let decoded = audio::decode(file, Encoding::Auto, LaneChoice::Each, &Limits::default());
    decoded.unwrap().lanes
}

/// The customer and the agent of a call, and a reader who takes a breath.
fn recordings() -> Vec<Vec<f32>> {
    let mut all = lanes(include_bytes!("audio/call.flac"));
    all.extend(lanes(include_bytes!("audio/book.flac")));
    all
}

/// Frames by which a turn's ends may differ: whether a breath before the first word counts depends on
/// what lies below it.
const CLOSE: usize = 60;

/// Whether turns begin and end about where others do.
fn close(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.abs_diff(b.start) <= CLOSE && a.end.abs_diff(b.end) <= CLOSE
}

#[test]
fn any_chunking_gives_the_same_turns() {
    for samples in recordings() {
        let whole = turns(&samples, samples.len());
        assert!(!whole.0.is_empty());
        for chunk in [1, 7, 160, 4_224] {
            assert_eq!(turns(&samples, chunk), whole, "chunks of {chunk}");
        }
    }
}

#[test]
fn thirty_decibels_less_make_no_other_turns() {
    let counts = recordings().into_iter().map(|samples| {
        let (as_it_is, _) = turns(&samples, samples.len());
        for gain in [0.3, 0.1, 0.03] {
            let quieter: Vec<f32> = samples.iter().map(|sample| gain * sample).collect();
            let (quieter, _) = turns(&quieter, quieter.len());
            assert_eq!(quieter.len(), as_it_is.len(), "gain {gain}");
            for (a, b) in quieter.iter().zip(&as_it_is) {
                assert!(close(&a.frames, &b.frames), "gain {gain}: {a:?}, {b:?}");
            }
        }
        as_it_is.len()
    });
    assert_eq!(counts.collect::<Vec<_>>(), [1, 1, 2]);
}

/// White noise of so many dBFS.
fn noise(samples: usize, dbfs: f32) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(11);
    // Uniform noise in ±a has the power a²/3.
    let most = 3f32.sqrt() * 10f32.powf(dbfs / 20.0);
    let uniform = (0..samples).map(|_| most * (2.0 * random.random::<f32>() - 1.0));
    uniform.collect()
}

/// The turns of a lane that is heard behind `before` are those of the lane alone.
fn assert_heard_behind(before: &[f32], lane: &[f32]) {
    let (alone, _) = turns(lane, lane.len());
    let samples = [before, lane].concat();
    let (behind, _) = turns(&samples, samples.len());
    let shift = before.len() / FRAME_HOP;
    let behind: Vec<Range<usize>> = behind
        .iter()
        .map(|turn| turn.frames.start.saturating_sub(shift)..turn.frames.end.saturating_sub(shift))
        .collect();
    assert_eq!(behind.len(), alone.len(), "{behind:?}, not {alone:?}");
    for (a, b) in behind.iter().zip(&alone) {
        assert!(close(a, &b.frames), "{a:?}, not {b:?}");
    }
}

#[test]
fn a_line_that_opens_is_no_turn_nor_part_of_one() {
    for dbfs in [-65.0, -50.0, -35.0] {
        let mut opens = vec![0.0; 48_000];
        opens.extend(noise(64_000, dbfs));
        assert_eq!(turns(&opens, opens.len()).0, [], "{dbfs} dBFS");
        for lane in recordings() {
            assert_heard_behind(&opens, &lane);
        }
    }
}

#[test]
fn a_turn_begins_with_its_first_word_and_not_with_the_lane() {
    for lane in recordings() {
        for before in [4_800, 11_200, 16_000] {
            let quiet = [vec![0.0; before], lane.clone()].concat();
            let (clean, _) = turns(&quiet, quiet.len());
            let noise = noise(quiet.len(), -50.0);
            let samples: Vec<f32> = quiet.iter().zip(noise).map(|(a, b)| a + b).collect();
            let (noisy, _) = turns(&samples, samples.len());
            assert_eq!(noisy.len(), clean.len());
            for (a, b) in noisy.iter().zip(&clean) {
                assert!(close(&a.frames, &b.frames), "{before}: {a:?}, {b:?}");
            }
        }
    }
}

#[test]
fn a_recording_that_begins_within_a_word_begins_with_a_turn() {
    for lane in recordings() {
        let (whole, _) = turns(&lane, lane.len());
        for frame in [5, 10, 20, 40] {
            let cut = &lane[(whole[0].frames.start + frame) * FRAME_HOP..];
            let (turns, begins) = turns(cut, cut.len());
            assert_eq!(turns.len(), whole.len());
            assert!(
                turns[0].frames.start <= 32,
                "cut at {frame}: {:?}",
                turns[0]
            );
            assert_eq!(begins[0], 0);
        }
    }
}

#[test]
fn a_beep_before_a_soft_talker_deafens_nobody() {
    let tone = |i: usize| 0.5 * (std::f32::consts::TAU * 1_000.0 * i as f32 / 16_000.0).sin();
    let mut beep: Vec<f32> = (0..16_000).map(tone).collect();
    beep.extend([0.0; 8_000]);
    for lane in recordings() {
        let power = lane.iter().map(|x| x * x).sum::<f32>() / lane.len() as f32;
        // −45 dBFS.
        let gain = (10f32.powf(-4.5) / power).sqrt();
        let soft: Vec<f32> = lane.iter().map(|sample| gain * sample).collect();
        assert_heard_behind(&beep, &soft);
    }
}

#[test]
fn noise_twenty_decibels_below_the_talker_makes_no_other_turns() {
    for samples in recordings() {
        let (clean, _) = turns(&samples, samples.len());
        let power = samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32;
        let noise = noise(samples.len(), 10.0 * power.log10() - 20.0);
        let noisy: Vec<f32> = samples.iter().zip(noise).map(|(a, b)| a + b).collect();
        let (noisy, _) = turns(&noisy, noisy.len());
        assert_eq!(noisy.len(), clean.len());
        for (a, b) in noisy.iter().zip(&clean) {
            assert!(close(&a.frames, &b.frames), "{a:?}, {b:?}");
        }
    }
}
