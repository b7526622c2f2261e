//! Any samples, divided anywhere, have the same segments as in one piece, bit for bit, and the same turns, or the same
//! error.

use std::sync::Arc;

use undertone::frontend::{
    BINS, FrameObserver, FrontendError, SEGMENT_FRAMES, Segmenter, Segments, Spec,
};
use undertone::speech::{DetectedStep, DetectedTurn, Detector, TurnRule, TurnTracker};

/// Largest magnitude of a sample that `audio` accepts. The power of such samples is finite.
const MAX_MAGNITUDE: f32 = 1e6;

const RULE: TurnRule = TurnRule {
    least_speech: 25,
    end_silence: 125,
    lead_in: 187,
    lead_out: 0,
};

/// Collects the speech steps and turns of a lane.
struct TurnCollector {
    detector: Detector,
    tracker: TurnTracker,
    steps: Vec<DetectedStep>,
    turns: Vec<DetectedTurn>,
}

impl FrameObserver for TurnCollector {
    fn frame(&mut self, frame: &[f32]) {
        for sound in self.detector.process(frame) {
            self.turns.extend(self.tracker.frame(sound));
        }
    }

    fn segment(&mut self) {
        self.steps.push(self.tracker.segment());
    }
}

/// The result for a whole lane.
struct Lane {
    segments: Segments,
    ending: Result<bool, FrontendError>,
    steps: Vec<DetectedStep>,
    turns: Vec<DetectedTurn>,
}

/// Checks one input: the segment hop, the number of chunk sizes, these sizes (u16), then samples (f32), all little
/// endian. The sizes are used in turn. Without sizes there is one chunk.
pub(crate) fn holds(data: &[u8]) {
    let [hop, count, rest @ ..] = data else {
        return;
    };
    let hop = usize::from(*hop) % SEGMENT_FRAMES + 1;
    let (sizes, samples) = rest.split_at(rest.len().min(2 * usize::from(*count % 16)));
    let sizes: Vec<usize> = words(sizes, |b| usize::from(u16::from_le_bytes(b)));
    let samples: Vec<f32> = words(samples, f32::from_le_bytes);

    let spec = Spec::new(hop, vec![-12.0; BINS], vec![3.0; BINS]).expect("a valid spec");
    let spec = Arc::new(spec);
    let whole = lane(&spec, &samples, &[samples.len()]);
    let cut = lane(&spec, &samples, &sizes);
    assert_eq!(cut.ending, whole.ending);
    if whole.ending.is_err() {
        return;
    }
    let bits = |segments: &Segments| -> Vec<u32> {
        segments.values().iter().map(|x| x.to_bits()).collect()
    };
    assert!(
        bits(&cut.segments) == bits(&whole.segments),
        "chunks of {sizes:?}"
    );
    assert_eq!((cut.steps, cut.turns), (whole.steps, whole.turns));
    assert_eq!(whole.segments.len(), spec.segments(samples.len()));
    if samples.iter().all(|x| x.abs() <= MAX_MAGNITUDE) {
        let in_range = |x: &f32| x.abs() <= spec.clip;
        assert!(
            whole.segments.values().iter().all(in_range),
            "a value beyond the clip"
        );
    }
}

fn words<const W: usize, T>(bytes: &[u8], read: impl Fn([u8; W]) -> T) -> Vec<T> {
    bytes.as_chunks::<W>().0.iter().map(|&b| read(b)).collect()
}

fn lane(spec: &Arc<Spec>, mut samples: &[f32], sizes: &[usize]) -> Lane {
    let mut segmenter = Segmenter::new(Arc::clone(spec));
    let mut segments = Segments::default();
    let mut turns = TurnCollector {
        detector: Detector::new(-75.0),
        tracker: TurnTracker::new(RULE, spec.segment_hop),
        steps: Vec::new(),
        turns: Vec::new(),
    };
    // The last chunk has the remaining samples, so the loop ends even if all sizes are 0.
    let mut pushed = Ok(());
    for &size in sizes.iter().cycle().take(sizes.len() * 64) {
        let (now, later) = samples.split_at(size.min(samples.len()));
        pushed = pushed.and_then(|()| segmenter.push_observed(now, &mut segments, &mut turns));
        samples = later;
    }
    let ending = pushed
        .and_then(|()| segmenter.push_observed(samples, &mut segments, &mut turns))
        .and_then(|()| segmenter.finish_observed(&mut segments, &mut turns));
    turns.turns.extend(turns.tracker.finish());
    Lane {
        segments,
        ending: ending.map(|ending| ending.short),
        steps: turns.steps,
        turns: turns.turns,
    }
}
