//! A file to pieces of segments while it is read: neither its bytes nor its samples are ever held whole.
//!
//! What stays is what a recording in memory leaves as well: each lane's features until its sequence has
//! run, and its turns. A container that can be read only once all of it is there is held coded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hearing::Hearing;
use super::intake::{Known, Need};
use super::lane::{Piece, Prepared, Streamed};
use super::{AudioFile, EngineError};
use crate::audio::{AudioError, CapturedRate, Decoder, Encoding, LaneChoice, Limits, Stop};
use crate::frontend::{Band, SEGMENT_VALUES, Spec};

/// What a file is decoded and segmented with.
pub(super) struct Setup {
    pub(super) encoding: Encoding,
    pub(super) lanes: LaneChoice,
    pub(super) limits: Limits,
    pub(super) spec: Arc<Spec>,
    pub(super) hearing: Hearing,
}

/// A file under way.
struct UnderWay<'a, N, T> {
    setup: &'a Setup,
    file: &'a AudioFile,
    need: N,
    take: T,
    /// From the first samples on.
    lanes: Option<Streamed>,
    samples: usize,
    /// Segments that were asked for, and those that were taken.
    asked: usize,
    taken: usize,
    /// Time that passed beside decoding: segmenting, and waiting for pieces to be taken.
    beside: Duration,
}

/// Decodes and segments a file. `need` is told what will be submitted before `take` gets it.
pub(super) fn segment(
    file: &AudioFile,
    setup: &Setup,
    stop: &Stop,
    need: impl FnMut(Need) -> Result<(), EngineError>,
    take: impl FnMut(Piece) -> Result<(), EngineError>,
) -> Result<(Known, Prepared), EngineError> {
    let mut under_way = UnderWay {
        setup,
        file,
        need,
        take,
        lanes: None,
        samples: 0,
        asked: 0,
        taken: 0,
        beside: Duration::ZERO,
    };
    let mut decoder = Decoder::start(setup.encoding, setup.lanes, &setup.limits)?;
    let captured_rate = decoder.captured_rate();
    let begun = Instant::now();
    let mut reading = Duration::ZERO;
    let mut read = Instant::now();
    file.read(|bytes| {
        reading += read.elapsed();
        if stop.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        let pushed = decoder.push(bytes, |lanes| under_way.block(lanes, &captured_rate));
        read = Instant::now();
        pushed
    })?;
    let ending = decoder.finish(|lanes| under_way.block(lanes, &captured_rate))?;
    let known = Known {
        codec: ending.source.codec,
        samples: under_way.samples,
        truncated: ending.truncated,
        remixed: ending.remixed,
        band: Band::of_rate(ending.source.captured_rate),
        time: begun.elapsed().saturating_sub(reading + under_way.beside),
    };
    Ok((known, under_way.finish()?))
}

impl<N, T> UnderWay<'_, N, T>
where
    N: FnMut(Need) -> Result<(), EngineError>,
    T: FnMut(Piece) -> Result<(), EngineError>,
{
    /// Segments the samples of a block.
    fn block(
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
            let Setup {
                lanes,
                spec,
                hearing,
                ..
            } = self.setup;
            Streamed::new(block.len(), Band::of_rate(rate), *lanes, spec, *hearing)
        });
        let count = block.len();
        let pushed = lanes.push(block, &mut |piece| self.submit(piece, count));
        self.lanes = Some(lanes);
        self.beside += begun.elapsed();
        pushed
    }

    /// Asks for what a piece needs, and for as much again, before it is taken.
    fn submit(&mut self, piece: Piece, lanes: usize) -> Result<(), EngineError> {
        let segments = piece.segments.len() / SEGMENT_VALUES;
        if self.taken + segments > self.asked {
            self.asked = 2 * (self.taken + segments);
            (self.need)(Need {
                lanes,
                samples: self.samples,
                segments: self.asked - self.taken,
                steps: self.asked,
            })?;
        }
        self.taken += segments;
        (self.take)(piece)
    }

    fn finish(mut self) -> Result<Prepared, EngineError> {
        // A decoder that ends well has given samples.
        let lanes = self.lanes.take().ok_or(AudioError::NoAudio)?;
        let count = lanes.count();
        let prepared = lanes.finish(&mut |piece| self.submit(piece, count))?;
        (self.need)(Need {
            lanes: count,
            samples: self.samples,
            segments: 0,
            steps: self.taken,
        })?;
        Ok(prepared)
    }
}
