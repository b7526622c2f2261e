//! Speech and turns in real recordings, at different levels, in chunks of any size, and in noise.

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

/// The rule of the default bundle: a second of silence ends a turn.
const RULE: TurnRule = TurnRule {
    least_speech: 25,
    end_silence: 125,
    lead_in: 187,
    lead_out: 0,
};

/// Detects turns, as the engine does.
struct TurnObserver {
    detector: Detector,
    tracker: TurnTracker,
    turns: Vec<DetectedTurn>,
    begins: Vec<usize>,
}

impl FrameObserver for TurnObserver {
    fn frame(&mut self, frame: &[f32]) {
        for sound in self.detector.process(frame) {
            self.turns.extend(self.tracker.frame(sound));
        }
    }

    fn segment(&mut self) {
        self.begins.extend(self.tracker.segment().begins);
    }
}

/// Returns the turns, and the steps at which a turn begins.
fn turns(samples: &[f32], chunk: usize) -> (Vec<DetectedTurn>, Vec<usize>) {
    let spec = Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap();
    let mut segmenter = Segmenter::new(Arc::new(spec));
    let mut segments = Segments::default();
    let mut observer = TurnObserver {
        detector: Detector::new(-75.0),
        tracker: TurnTracker::new(RULE, 16),
        turns: Vec::new(),
        begins: Vec::new(),
    };
    for part in samples.chunks(chunk) {
        segments.clear();
        segmenter
            .push_observed(part, &mut segments, &mut observer)
            .unwrap();
    }
    segmenter
        .finish_observed(&mut segments, &mut observer)
        .unwrap();
    observer.turns.extend(observer.tracker.finish());
    (observer.turns, observer.begins)
}

/// Decodes the lanes of a file.
fn lanes(file: &[u8]) -> Vec<Vec<f32>> {
    let decoded = audio::decode(file, Encoding::Auto, LaneChoice::Each, &Limits::default());
    decoded.unwrap().lanes
}

/// Returns the customer and the agent of a call, and a reader who pauses for a breath.
fn recordings() -> Vec<Vec<f32>> {
    let mut all = lanes(include_bytes!("audio/call.flac"));
    all.extend(lanes(include_bytes!("audio/book.flac")));
    all
}

/// Frames by which the start and the end of a turn may differ, 480 ms. A breath before the first word may or may not
/// belong to the turn, because noise may cover it.
const CLOSE: usize = 60;

/// Returns whether two turns begin and end within [`CLOSE`] frames.
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
fn the_turns_stay_the_same_at_thirty_decibels_less() {
    let counts = recordings().into_iter().map(|samples| {
        let (original, _) = turns(&samples, samples.len());
        for gain in [0.3, 0.1, 0.03] {
            let quieter: Vec<f32> = samples.iter().map(|sample| gain * sample).collect();
            let (quieter, _) = turns(&quieter, quieter.len());
            assert_eq!(quieter.len(), original.len(), "gain {gain}");
            for (a, b) in quieter.iter().zip(&original) {
                assert!(close(&a.frames, &b.frames), "gain {gain}: {a:?}, {b:?}");
            }
        }
        original.len()
    });
    assert_eq!(counts.collect::<Vec<_>>(), [1, 1, 2]);
}

/// Returns white noise of power `dbfs`, in dBFS.
fn noise(samples: usize, dbfs: f32) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(11);
    // Uniform noise in ±a has the power a²/3.
    let most = 3f32.sqrt() * 10f32.powf(dbfs / 20.0);
    let uniform = (0..samples).map(|_| most * (2.0 * random.random::<f32>() - 1.0));
    uniform.collect()
}

/// Asserts that a lane after the sound `before` has the same turns as the lane alone.
fn assert_same_turns_after(before: &[f32], lane: &[f32]) {
    let (alone, _) = turns(lane, lane.len());
    let samples = [before, lane].concat();
    let (after, _) = turns(&samples, samples.len());
    let shift = before.len() / FRAME_HOP;
    let after: Vec<Range<usize>> = after
        .iter()
        .map(|turn| turn.frames.start.saturating_sub(shift)..turn.frames.end.saturating_sub(shift))
        .collect();
    assert_eq!(after.len(), alone.len(), "{after:?}, not {alone:?}");
    for (a, b) in after.iter().zip(&alone) {
        assert!(close(a, &b.frames), "{a:?}, not {b:?}");
    }
}

#[test]
fn the_noise_of_an_opening_line_belongs_to_no_turn() {
    for dbfs in [-65.0, -50.0, -35.0] {
        let mut opening_line = vec![0.0; 48_000];
        opening_line.extend(noise(64_000, dbfs));
        assert_eq!(
            turns(&opening_line, opening_line.len()).0,
            [],
            "{dbfs} dBFS"
        );
        for lane in recordings() {
            assert_same_turns_after(&opening_line, &lane);
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
fn a_beep_before_soft_speech_hides_none_of_it() {
    let tone = |i: usize| 0.5 * (std::f32::consts::TAU * 1_000.0 * i as f32 / 16_000.0).sin();
    let mut beep: Vec<f32> = (0..16_000).map(tone).collect();
    beep.extend([0.0; 8_000]);
    for lane in recordings() {
        let power = lane.iter().map(|x| x * x).sum::<f32>() / lane.len() as f32;
        // −45 dBFS.
        let gain = (10f32.powf(-4.5) / power).sqrt();
        let soft: Vec<f32> = lane.iter().map(|sample| gain * sample).collect();
        assert_same_turns_after(&beep, &soft);
    }
}

#[test]
fn the_turns_stay_the_same_in_noise_twenty_decibels_below_the_speech() {
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
