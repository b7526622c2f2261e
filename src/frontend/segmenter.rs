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
mod tests;
