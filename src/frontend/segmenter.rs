//! Frames to segments: normalises each frame and cuts one segment every `segment_hop` frames.
//!
//! If 8 or more frames are left over at the end of the audio, they give one more segment, which ends with
//! the last whole frame. Audio shorter than one segment is padded with zeros and has the flag `short`.

use std::sync::Arc;

use super::analyser::Analyser;
use super::band::Band;
use super::contract::{
    BINS, FRAME_HOP, LEFTOVER_FRAMES, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_SAMPLES, SEGMENT_VALUES,
    SHORTEST_SAMPLES,
};
use super::spec::Spec;

/// Samples analysed at a time.
const BLOCK: usize = 1_024;

/// Frames in the buffer. When it is full, the older half is dropped, and one segment's frames remain.
const BUFFER_FRAMES: usize = 2 * SEGMENT_FRAMES;

/// Normalised segments of one lane, `[N, 32, 129]` row major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segments {
    values: Vec<f32>,
}

impl Segments {
    /// Returns the number of segments, N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / SEGMENT_VALUES
    }

    /// Returns whether there is no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns all values, `[N, 32, 129]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Drops the segments and keeps their memory for later ones.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Returns the values without a copy, `[N, 32, 129]`.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

/// A property of the lane that is known at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmenterEnd {
    /// Whether the audio was shorter than one segment and was padded with zeros.
    pub short: bool,
}

/// Receives the frames from which segments are cut, so that samples are analysed only once.
pub trait FrameObserver {
    /// Receives a raw frame `[129]` of ln power, before its normalisation.
    fn frame(&mut self, frame: &[f32]);
    /// Is called when the newest 32 frames are a segment.
    fn segment(&mut self);
}

/// Ignores all frames.
impl FrameObserver for () {
    fn frame(&mut self, _: &[f32]) {}
    fn segment(&mut self) {}
}

/// Why audio cannot be cut into segments.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum FrontendError {
    /// Less than 10 ms of audio.
    #[error(
        "{:.1} ms of audio is too short to analyse; at least 10 ms are needed",
        *samples as f64 / f64::from(SAMPLE_RATE) * 1e3
    )]
    TooShort {
        /// Samples at 16 kHz.
        samples: usize,
    },
    /// A sample is NaN or infinite.
    #[error("the sample at {:.3} s is not a finite number", *position as f64 / f64::from(SAMPLE_RATE))]
    NotFinite {
        /// Samples at 16 kHz from the start of the audio.
        position: usize,
    },
}

/// Cuts one lane into segments, incrementally. Any chunking gives bit-identical segments.
#[derive(Debug)]
pub struct Segmenter {
    spec: Arc<Spec>,
    band: Band,
    analyser: Analyser,
    samples: usize,
    frames: Vec<f32>,
    /// The newest normalised frames, `[filled, 129]` in a buffer of `[64, 129]`.
    window: Vec<f32>,
    filled: usize,
    /// Start of the next segment in `window`, in frames.
    next: usize,
}

impl Segmenter {
    /// Returns a segmenter at the start of a lane that can fill every bin.
    #[must_use]
    pub fn new(spec: Arc<Spec>) -> Self {
        Self {
            spec,
            band: Band::WIDE,
            analyser: Analyser::new(),
            samples: 0,
            frames: Vec::new(),
            window: vec![0.0; BUFFER_FRAMES * BINS],
            filled: 0,
            next: 0,
        }
    }

    /// Sets the band of the lane's source.
    #[must_use]
    pub fn with_band(self, band: Band) -> Self {
        Self { band, ..self }
    }

    /// Appends to `segments` each segment that `samples` (16 kHz, ±1 full scale) completes.
    ///
    /// # Errors
    /// [`FrontendError::NotFinite`]. The segmenter cannot be used after it.
    pub fn push(&mut self, samples: &[f32], segments: &mut Segments) -> Result<(), FrontendError> {
        self.push_observed(samples, segments, &mut ())
    }

    /// Does the same as [`Segmenter::push`], and passes each frame and each segment to `observer`.
    ///
    /// # Errors
    /// As [`Segmenter::push`].
    pub fn push_observed(
        &mut self,
        samples: &[f32],
        segments: &mut Segments,
        observer: &mut impl FrameObserver,
    ) -> Result<(), FrontendError> {
        if let Some(offset) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(FrontendError::NotFinite {
                position: self.samples + offset,
            });
        }
        self.samples += samples.len();
        let most = self.most_segments(samples.len());
        segments.values.reserve(most * SEGMENT_VALUES);
        self.analyse(samples, segments, observer);
        Ok(())
    }

    /// Ends the lane. Appends the last segment if enough frames are left over.
    ///
    /// # Errors
    /// [`FrontendError::TooShort`] below 10 ms.
    pub fn finish(self, segments: &mut Segments) -> Result<SegmenterEnd, FrontendError> {
        self.finish_observed(segments, &mut ())
    }

    /// Does the same as [`Segmenter::finish`], and passes the last segment and the frames of the padding to
    /// `observer`.
    ///
    /// # Errors
    /// As [`Segmenter::finish`].
    pub fn finish_observed(
        mut self,
        segments: &mut Segments,
        observer: &mut impl FrameObserver,
    ) -> Result<SegmenterEnd, FrontendError> {
        if self.samples < SHORTEST_SAMPLES {
            return Err(FrontendError::TooShort {
                samples: self.samples,
            });
        }
        let short = self.samples < SEGMENT_SAMPLES;
        if short {
            let missing = SEGMENT_SAMPLES - self.samples;
            self.analyse(&[0.0; SEGMENT_SAMPLES][..missing], segments, observer);
        } else {
            let end_of_last = self.next + SEGMENT_FRAMES - self.spec.segment_hop;
            if self.filled - end_of_last >= LEFTOVER_FRAMES {
                self.cut(self.filled - SEGMENT_FRAMES, segments, observer);
            }
        }
        Ok(SegmenterEnd { short })
    }

    fn analyse(
        &mut self,
        samples: &[f32],
        segments: &mut Segments,
        observer: &mut impl FrameObserver,
    ) {
        let mut frames = std::mem::take(&mut self.frames);
        // The frames of 64 ms fit in the processor's cache.
        for block in samples.chunks(BLOCK) {
            frames.clear();
            self.analyser.push(block, &mut frames);
            for frame in frames.chunks_exact_mut(BINS) {
                observer.frame(frame);
                self.spec.normalise(frame, self.band);
                self.add(frame, segments, observer);
            }
        }
        self.frames = frames;
    }

    fn add(&mut self, frame: &[f32], segments: &mut Segments, observer: &mut impl FrameObserver) {
        if self.filled == BUFFER_FRAMES {
            // A segment is cut as soon as it is complete, so the next one begins in the newer half.
            self.window.copy_within(SEGMENT_FRAMES * BINS.., 0);
            self.filled -= SEGMENT_FRAMES;
            self.next -= SEGMENT_FRAMES;
        }
        self.window[self.filled * BINS..][..BINS].copy_from_slice(frame);
        self.filled += 1;
        if self.filled == self.next + SEGMENT_FRAMES {
            self.cut(self.next, segments, observer);
            self.next += self.spec.segment_hop;
        }
    }

    /// Returns the most segments that `samples` more samples can complete.
    fn most_segments(&self, samples: usize) -> usize {
        samples / (FRAME_HOP * self.spec.segment_hop) + 1
    }

    fn cut(&self, start: usize, segments: &mut Segments, observer: &mut impl FrameObserver) {
        segments
            .values
            .extend_from_slice(&self.window[start * BINS..][..SEGMENT_VALUES]);
        observer.segment();
    }
}

#[cfg(test)]
mod tests {
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
}
