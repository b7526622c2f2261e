//! Decodes and segments a file while it is read. Neither its bytes nor its samples are ever all in memory.
//!
//! Two things grow with the length of the file, as for a recording in memory: the features of a lane
//! until its sequence has run, and its turns. A container that can only be read from its end is kept in
//! memory in coded form.

use std::time::{Duration, Instant};

use super::audio_file::AudioFile;
use super::error::EngineError;
use super::lane::{BlockSegmenter, SegmentedLanes};
use super::piece::{Piece, PieceSink, RemainingWork};
use super::segmentation::{AudioInfo, SegmentationSettings};
use crate::audio::{AudioError, CapturedRate, Decoder, Stop};
use crate::frontend::{Band, SEGMENT_VALUES};

/// The state of one file between two blocks of samples.
struct FileSegmentation<'a, S> {
    settings: &'a SegmentationSettings,
    file: &'a AudioFile,
    sink: S,
    /// The lanes, as soon as the first samples are there.
    lanes: Option<BlockSegmenter>,
    samples: usize,
    /// Segments that are announced.
    announced: usize,
    /// Segments that are submitted.
    submitted: usize,
    /// Time that is not decoding: segmenting, and waiting for pieces to be accepted.
    other_time: Duration,
}

/// Decodes and segments a file. The sink gets each announcement before the pieces that it announces.
pub(super) fn segment_file(
    file: &AudioFile,
    settings: &SegmentationSettings,
    stop: &Stop,
    sink: impl PieceSink,
) -> Result<(AudioInfo, SegmentedLanes), EngineError> {
    let mut segmentation = FileSegmentation {
        settings,
        file,
        sink,
        lanes: None,
        samples: 0,
        announced: 0,
        submitted: 0,
        other_time: Duration::ZERO,
    };
    let mut decoder = Decoder::start(settings.encoding, settings.lanes, &settings.limits)?;
    let captured_rate = decoder.captured_rate();
    let begun = Instant::now();
    let mut reading = Duration::ZERO;
    let mut read = Instant::now();
    file.read(|bytes| {
        reading += read.elapsed();
        if stop.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        let pushed = decoder.push(bytes, |lanes| segmentation.push(lanes, &captured_rate));
        read = Instant::now();
        pushed
    })?;
    let ending = decoder.finish(|lanes| segmentation.push(lanes, &captured_rate))?;
    let info = AudioInfo {
        codec: ending.source.codec,
        samples: segmentation.samples,
        truncated: ending.truncated,
        channels_changed: ending.channels_changed,
        band: Band::of_rate(ending.source.captured_rate),
        time: begun
            .elapsed()
            .saturating_sub(reading + segmentation.other_time),
    };
    Ok((info, segmentation.finish()?))
}

impl<S: PieceSink> FileSegmentation<'_, S> {
    /// Segments a block of samples.
    fn push(
        &mut self,
        block: &[Vec<f32>],
        captured_rate: &CapturedRate,
    ) -> Result<(), EngineError> {
        let (Some(first), Some(rate)) = (block.first(), captured_rate.get()) else {
            return Ok(());
        };
        let begun = Instant::now();
        self.samples += first.len();
        self.file.decoded().set_samples(self.samples);
        let mut lanes = self.lanes.take().unwrap_or_else(|| {
            BlockSegmenter::new(block.len(), Band::of_rate(rate), self.settings)
        });
        let count = block.len();
        let pushed = lanes.push(block, &mut |piece| self.submit(piece, count));
        self.lanes = Some(lanes);
        self.other_time += begun.elapsed();
        pushed
    }

    /// Submits a piece. If it exceeds what is announced, twice the sum of all pieces is announced first.
    fn submit(&mut self, piece: Piece, lanes: usize) -> Result<(), EngineError> {
        let segments = piece.segments.len() / SEGMENT_VALUES;
        if self.submitted + segments > self.announced {
            self.announced = 2 * (self.submitted + segments);
            self.sink.announce(RemainingWork {
                lanes,
                samples: self.samples,
                segments: self.announced - self.submitted,
                steps: self.announced,
            })?;
        }
        self.submitted += segments;
        self.sink.submit(piece)
    }

    fn finish(mut self) -> Result<SegmentedLanes, EngineError> {
        // A decoder that succeeds has returned samples.
        let lanes = self.lanes.take().ok_or(AudioError::NoAudio)?;
        let count = lanes.count();
        let segmented = lanes.finish(&mut |piece| self.submit(piece, count))?;
        self.sink.announce(RemainingWork {
            lanes: count,
            samples: self.samples,
            segments: 0,
            steps: self.submitted,
        })?;
        Ok(segmented)
    }
}
