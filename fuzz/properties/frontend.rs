//! Any samples, cut anywhere, give the segments that they give in one piece, to the bit, and the same turns, or
//! the same error.

use std::sync::Arc;

use undertone::frontend::{
    BINS, FrameObserver, FrontendError, SEGMENT_FRAMES, Segmenter, Segments, Spec,
};
use undertone::speech::{DetectedStep, DetectedTurn, Detector, TurnRule, TurnTracker};

/// Up to here, as `audio` lets it through, a sample's power is a finite number.
const CEILING: f32 = 1e6;

const RULE: TurnRule = TurnRule {
    least_speech: 25,
    end_silence: 125,
    lead_in: 187,
    lead_out: 0,
};

struct Ear {
    detector: Detector,
    tracker: TurnTracker,
    steps: Vec<DetectedStep>,
    turns: Vec<DetectedTurn>,
}

impl FrameObserver for Ear {
    fn frame(&mut self, frame: &[f32]) {
        for sound in self.detector.process(frame) {
            self.turns.extend(self.tracker.frame(sound));
        }
    }

    fn segment(&mut self) {
        self.steps.push(self.tracker.segment());
    }
}

/// What is heard of a lane, whole.
struct Lane {
    segments: Segments,
    ending: Result<bool, FrontendError>,
    steps: Vec<DetectedStep>,
    turns: Vec<DetectedTurn>,
}

/// Input: the segment hop, how many chunk sizes follow, these (u16), then samples (f32), all little
/// endian. The sizes are used in turn; there being none means one chunk.
pub(crate) fn holds(data: &[u8]) {
    let [hop, count, rest @ ..] = data else {
        return;
    };
    let hop = usize::from(*hop) % SEGMENT_FRAMES + 1;
    let (sizes, samples) = rest.split_at(rest.len().min(2 * usize::from(*count % 16)));
    let sizes: Vec<usize> = words(sizes, |b| usize::from(u16::from_le_bytes(b)));
    let samples: Vec<f32> = words(samples, f32::from_le_bytes);

    let spec = Spec::new(hop, vec![-12.0; BINS], vec![3.0; BINS]).expect("a sound spec");
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
    if samples.iter().all(|x| x.abs() <= CEILING) {
        let sane = |x: &f32| x.abs() <= spec.clip;
        assert!(
            whole.segments.values().iter().all(sane),
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
    let mut ear = Ear {
        detector: Detector::new(-75.0),
        tracker: TurnTracker::new(RULE, spec.segment_hop),
        steps: Vec::new(),
        turns: Vec::new(),
    };
    // The last chunk takes what the sizes leave, so that sizes of 0 come to an end too.
    let mut pushed = Ok(());
    for &size in sizes.iter().cycle().take(sizes.len() * 64) {
        let (now, later) = samples.split_at(size.min(samples.len()));
        pushed = pushed.and_then(|()| segmenter.push_observed(now, &mut segments, &mut ear));
        samples = later;
    }
    let ending = pushed
        .and_then(|()| segmenter.push_observed(samples, &mut segments, &mut ear))
        .and_then(|()| segmenter.finish_observed(&mut segments, &mut ear));
    ear.turns.extend(ear.tracker.finish());
    Lane {
        segments,
        ending: ending.map(|ending| ending.short),
        steps: ear.steps,
        turns: ear.turns,
    }
}
