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
use undertone::frontend::{BINS, Listener, Segmenter, Segments, Spec};
use undertone::speech::{Detector, Rule, Tracker, Turn};

/// A second of silence ends a turn.
const RULE: Rule = Rule {
    least_speech: 25,
    end_silence: 125,
    lead_in: 187,
    lead_out: 0,
};

struct Ear {
    detector: Detector,
    tracker: Tracker,
    turns: Vec<Turn>,
    begins: Vec<usize>,
}

impl Listener for Ear {
    fn frame(&mut self, frame: &[f32]) {
        let sound = self.detector.hear(frame);
        self.turns.extend(self.tracker.frame(sound));
    }

    fn segment(&mut self) {
        self.begins.extend(self.tracker.segment().begins);
    }
}

/// The turns, and the steps at which one begins.
fn turns(samples: &[f32], chunk: usize) -> (Vec<Turn>, Vec<usize>) {
    let spec = Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap();
    let mut segmenter = Segmenter::new(Arc::new(spec));
    let mut segments = Segments::default();
    let mut ear = Ear {
        detector: Detector::new(-75.0),
        tracker: Tracker::new(RULE, 16),
        turns: Vec::new(),
        begins: Vec::new(),
    };
    for part in samples.chunks(chunk) {
        segments.clear();
        segmenter.push_heard(part, &mut segments, &mut ear).unwrap();
    }
    segmenter.finish_heard(&mut segments, &mut ear).unwrap();
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
///
/// A lane's first frames are speech if they are louder than the gate, for its noise is not known yet;
/// a turn that begins soon after may begin with them or not.
fn close(a: &Range<usize>, b: &Range<usize>) -> bool {
    let start = |turn: &Range<usize>| turn.start.max(100);
    start(a).abs_diff(start(b)) <= CLOSE && a.end.abs_diff(b.end) <= CLOSE
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

#[test]
fn noise_twenty_decibels_below_the_talker_makes_no_other_turns() {
    let mut random = StdRng::seed_from_u64(5);
    for samples in recordings() {
        let (clean, _) = turns(&samples, samples.len());
        let power = samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32;
        // Uniform noise in ±a has the power a²/3.
        let most = (3.0 * power / 100.0).sqrt();
        let noisy: Vec<f32> = samples
            .iter()
            .map(|sample| sample + most * (2.0 * random.random::<f32>() - 1.0))
            .collect();
        let (noisy, _) = turns(&noisy, noisy.len());
        assert_eq!(noisy.len(), clean.len());
        for (a, b) in noisy.iter().zip(&clean) {
            assert!(close(&a.frames, &b.frames), "{a:?}, {b:?}");
        }
    }
}
