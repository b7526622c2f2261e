//! Tests of the segmenter.

use proptest::prelude::*;

use super::super::NarrowBand;
use super::*;

fn spec(hop: usize) -> Arc<Spec> {
    Arc::new(Spec::new(hop, vec![-12.0; BINS], vec![3.0; BINS]).unwrap())
}

/// A chirp with a little noise: no two frames are alike.
fn sound(samples: usize) -> Vec<f32> {
    let mut state = 7u32;
    (0..samples)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = state as f32 / u32::MAX as f32 - 0.5;
            0.4 * (i as f32 * i as f32 * 1e-5).sin() + 0.1 * noise
        })
        .collect()
}

/// Records what it receives.
#[derive(Default)]
struct RecordingObserver {
    frames: Vec<f32>,
    /// First frame of each segment.
    starts: Vec<usize>,
}

impl FrameObserver for RecordingObserver {
    fn frame(&mut self, frame: &[f32]) {
        self.frames.extend_from_slice(frame);
    }

    fn segment(&mut self) {
        self.starts.push(self.frames.len() / BINS - SEGMENT_FRAMES);
    }
}

fn segments_of(spec: &Arc<Spec>, samples: &[f32], chunk: usize) -> (Segments, SegmenterEnd) {
    segments_of_band(spec, Band::WIDE, samples, chunk)
}

fn segments_of_band(
    spec: &Arc<Spec>,
    band: Band,
    samples: &[f32],
    chunk: usize,
) -> (Segments, SegmenterEnd) {
    let mut segmenter = Segmenter::new(Arc::clone(spec)).with_band(band);
    let mut segments = Segments::default();
    for part in samples.chunks(chunk) {
        segmenter.push(part, &mut segments).unwrap();
    }
    let ending = segmenter.finish(&mut segments).unwrap();
    (segments, ending)
}

/// Segments by the definition in the contract, from all frames at once.
fn reference(spec: &Spec, band: Band, samples: &[f32]) -> Vec<f32> {
    let mut frames = Vec::new();
    Analyser::new().push(samples, &mut frames);
    frames
        .chunks_exact_mut(BINS)
        .for_each(|frame| spec.normalise(frame, band));
    let total = frames.len() / BINS;
    let mut starts: Vec<usize> = (0..=total - SEGMENT_FRAMES)
        .step_by(spec.segment_hop)
        .collect();
    if total - (starts[starts.len() - 1] + SEGMENT_FRAMES) >= LEFTOVER_FRAMES {
        starts.push(total - SEGMENT_FRAMES);
    }
    starts
        .iter()
        .flat_map(|start| frames[start * BINS..][..SEGMENT_VALUES].to_vec())
        .collect()
}

proptest! {
    #![proptest_config(replay::with_cases(64))]
    #[test]
    fn any_chunking_gives_the_segments_of_the_contract(
        length in SEGMENT_SAMPLES..40_000usize, hop in 1..=SEGMENT_FRAMES, chunk in 1..6_000usize,
        rate in 2_000..16_001u32,
    ) {
        let samples = sound(length);
        let band = Band::of_rate(rate);
        let spec = Arc::new(Spec { narrow_band: NarrowBand::Mean, ..Spec::clone(&spec(hop)) });
        let (segments, ending) = segments_of_band(&spec, band, &samples, chunk);
        prop_assert!(!ending.short);
        prop_assert_eq!(segments.len(), spec.segments(length));
        prop_assert!(segments.values() == reference(&spec, band, &samples));
    }
}

#[test]
fn an_observer_receives_every_raw_frame_and_each_segment_when_it_is_complete() {
    let (spec, samples) = (spec(16), sound(SEGMENT_SAMPLES + 40 * FRAME_HOP));
    let mut frames = Vec::new();
    Analyser::new().push(&samples, &mut frames);
    for chunk in [1, 100, 3_000, samples.len()] {
        let (mut observer, mut segments) = (RecordingObserver::default(), Segments::default());
        let mut segmenter = Segmenter::new(Arc::clone(&spec));
        for part in samples.chunks(chunk) {
            segmenter
                .push_observed(part, &mut segments, &mut observer)
                .unwrap();
        }
        segmenter
            .finish_observed(&mut segments, &mut observer)
            .unwrap();
        assert!(observer.frames == frames, "chunks of {chunk}");
        assert_eq!(observer.starts, [0, 16, 32, 40]);
    }
}

#[test]
fn eight_left_over_frames_give_one_more_segment_and_seven_none() {
    let spec = spec(16);
    for (left_over, count) in [(0, 1), (7, 1), (8, 2), (15, 2), (16, 2), (23, 2), (24, 3)] {
        let samples = sound(SEGMENT_SAMPLES + left_over * FRAME_HOP);
        assert_eq!(
            segments_of(&spec, &samples, 1_000).0.len(),
            count,
            "{left_over} frames left over"
        );
    }
}

#[test]
fn short_audio_is_padded_and_flagged() {
    let samples = sound(SHORTEST_SAMPLES);
    let (segments, ending) = segments_of(&spec(16), &samples, 7);
    assert!(ending.short);
    assert_eq!(segments.len(), spec(16).segments(SHORTEST_SAMPLES));
    let mut padded = samples;
    padded.resize(SEGMENT_SAMPLES, 0.0);
    assert_eq!(segments, segments_of(&spec(16), &padded, 7).0);
    assert_eq!(segments.len(), 1);
}

#[test]
fn too_short_and_not_finite_audio_is_refused_with_its_position() {
    let mut segments = Segments::default();
    let mut segmenter = Segmenter::new(spec(16));
    segmenter
        .push(&[0.1; SHORTEST_SAMPLES - 1], &mut segments)
        .unwrap();
    let error = segmenter.finish(&mut segments).unwrap_err();
    assert_eq!(
        error.to_string(),
        "9.9 ms of audio is too short to analyse; at least 10 ms are needed"
    );

    let mut segmenter = Segmenter::new(spec(16));
    segmenter.push(&[0.0; 8_000], &mut segments).unwrap();
    let error = segmenter.push(&[0.0, f32::NAN], &mut segments).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sample at 0.500 s is not a finite number"
    );
}
