//! After the start of a lane, no segment and no second of audio causes an allocation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::sync::Arc;

use allocation_counter::measure;
use undertone::audio::{Encoding, LaneChoice, Limits, RawFormat, Resampler, decode};
use undertone::frontend::{BINS, FrameObserver, Segmenter, Segments, Spec};
use undertone::speech::{Detector, TurnRule, TurnTracker};

/// A chirp. Its content does not matter, because the tests depend on its length only.
fn sound(samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|i| 0.4 * (i as f32 * i as f32 * 1e-6).sin())
        .collect()
}

/// Detects speech and turns, as the engine does.
struct TurnObserver {
    detector: Detector,
    tracker: TurnTracker,
}

impl FrameObserver for TurnObserver {
    fn frame(&mut self, frame: &[f32]) {
        for sound in self.detector.process(frame) {
            self.tracker.frame(sound);
        }
    }

    fn segment(&mut self) {
        self.tracker.segment();
    }
}

#[test]
fn segments_are_cut_and_turns_detected_without_allocating() {
    let spec = Arc::new(Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap());
    let samples = sound(160_000);
    for chunk in [1, 160, 4_000, 16_000] {
        let mut segmenter = Segmenter::new(Arc::clone(&spec));
        let mut segments = Segments::default();
        let rule = TurnRule {
            least_speech: 25,
            end_silence: 125,
            lead_in: 187,
            lead_out: 0,
        };
        let mut observer = TurnObserver {
            detector: Detector::new(-75.0),
            tracker: TurnTracker::new(rule, 16),
        };
        let mut segment = |samples: &[f32]| {
            let mut count = 0;
            for part in samples.chunks(chunk) {
                segments.clear();
                segmenter
                    .push_observed(part, &mut segments, &mut observer)
                    .unwrap();
                count += segments.len();
            }
            count
        };
        let (warm, steady) = samples.split_at(64_000);
        segment(warm);
        let mut count = 0;
        let allocated = measure(|| count = segment(steady));
        assert!(count >= 46, "{count} segments");
        assert_eq!(allocated.count_total, 0, "chunks of {chunk}");
    }
}

#[test]
fn samples_are_resampled_without_allocating() {
    for rate in [8_000, 16_000, 44_100, 48_000] {
        let mut resampler = Resampler::new(rate).unwrap();
        let mut out = Vec::with_capacity(16_000);
        let samples = sound(10 * rate as usize);
        let mut resample = |samples: &[f32]| {
            for part in samples.chunks(1_000) {
                out.clear();
                resampler.push(part, &mut out).unwrap();
            }
        };
        let (warm, steady) = samples.split_at(rate as usize);
        resample(warm);
        let allocated = measure(|| resample(steady));
        assert_eq!(allocated.count_total, 0, "{rate} Hz");
    }
}

#[test]
fn a_longer_recording_allocates_only_for_the_growth_of_its_samples() {
    let phone = Encoding::Raw {
        format: RawFormat::Mulaw,
        sample_rate: 8_000,
        channels: 2,
    };
    let allocations = |seconds: usize| {
        let bytes = vec![0x35; 16_000 * seconds];
        let allocated = measure(|| {
            decode(&bytes, phone, LaneChoice::Each, &Limits::default()).unwrap();
        });
        allocated.count_total
    };
    // Each lane has one buffer for its samples, which doubles when it is full: three times from 16 to 128 s.
    let (short, long) = (allocations(16), allocations(128));
    assert!(long <= short + 2 * 4, "{short} for 16 s, {long} for 128 s");
}
