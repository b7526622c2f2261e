//! Cuts the lanes of a recording into pieces of segments, and detects their turns at the same time.
//!
//! [`segment_lanes`] processes one lane after the other, if all samples are decoded.
//! [`BlockSegmenter`] processes all lanes side by side while the samples come in blocks. Both cut the
//! same pieces.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::EngineError;
use super::piece::{PIECE_SAMPLES, Piece};
use super::sample_time::sample_time;
use super::segmentation::SegmentationSettings;
use super::turn_detection::LaneAnalyser;
use crate::audio::LaneChoice;
use crate::decision::{StepTimes, Turn};
use crate::frontend::{Band, FrontendError, SEGMENT_SAMPLES, Segmenter, Segments, Spec};

/// The lanes of a recording after all their pieces are submitted.
#[derive(Debug)]
pub(super) struct SegmentedLanes {
    pub(super) lanes: Vec<LaneInfo>,
    /// Time that segmenting took, without the time in which it waited for a piece to be accepted.
    pub(super) time: Duration,
}

/// Properties of one lane beside its segments.
#[derive(Debug)]
pub(super) struct LaneInfo {
    /// The channel.
    pub(super) index: usize,
    pub(super) times: StepTimes,
    pub(super) turns: Vec<Turn>,
    /// Steps at which the sequence state is reset, ascending; the first is 0.
    pub(super) starts: Vec<usize>,
    /// Whether the lane is shorter than one segment.
    pub(super) short: bool,
}

/// Segments every lane and passes the pieces to `submit`. Ends early if that fails.
pub(super) fn segment_lanes(
    lanes: Vec<Vec<f32>>,
    band: Band,
    settings: &SegmentationSettings,
    mut submit: impl FnMut(Piece) -> Result<(), EngineError>,
) -> Result<SegmentedLanes, EngineError> {
    let mut timer = WorkTimer::default();
    let mut segmented = Vec::new();
    // By value, so that the samples of a lane are freed as soon as it is segmented.
    for (number, samples) in lanes.into_iter().enumerate() {
        let mut lane = LaneSegmenter::new(number, band, settings);
        for block in samples.chunks(PIECE_SAMPLES) {
            timer.measure(|wait| lane.push(block, &mut |piece| wait.during(|| submit(piece))))?;
        }
        segmented.push(timer.measure(|wait| {
            lane.finish(&settings.spec, &mut |piece| wait.during(|| submit(piece)))
        })?);
    }
    Ok(SegmentedLanes {
        lanes: segmented,
        time: timer.time,
    })
}

/// Segments all lanes of a recording while its samples come in blocks.
#[derive(Debug)]
pub(super) struct BlockSegmenter {
    lanes: Vec<LaneSegmenter>,
    /// Samples of each lane that do not fill a piece yet.
    pending: Vec<Vec<f32>>,
    spec: Arc<Spec>,
    timer: WorkTimer,
}

impl BlockSegmenter {
    /// Returns a segmenter at the start of `count` lanes.
    pub(super) fn new(count: usize, band: Band, settings: &SegmentationSettings) -> Self {
        let lanes = (0..count).map(|number| LaneSegmenter::new(number, band, settings));
        Self {
            lanes: lanes.collect(),
            pending: vec![Vec::new(); count],
            spec: Arc::clone(&settings.spec),
            timer: WorkTimer::default(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Adds the next samples of every lane, and passes the pieces that they complete to `submit`.
    pub(super) fn push(
        &mut self,
        block: &[Vec<f32>],
        submit: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for (pending, samples) in self.pending.iter_mut().zip(block) {
            pending.extend_from_slice(samples);
        }
        let ready = self.pending.first().map_or(0, Vec::len) / PIECE_SAMPLES;
        // The same pieces as `segment_lanes` cuts, so that the results are the same.
        for number in 0..ready {
            let samples = number * PIECE_SAMPLES..(number + 1) * PIECE_SAMPLES;
            for (lane, pending) in self.lanes.iter_mut().zip(&self.pending) {
                let samples = &pending[samples.clone()];
                self.timer.measure(|wait| {
                    lane.push(samples, &mut |piece| wait.during(|| submit(piece)))
                })?;
            }
        }
        for pending in &mut self.pending {
            pending.drain(..ready * PIECE_SAMPLES);
        }
        Ok(())
    }

    /// Ends the recording.
    pub(super) fn finish(
        mut self,
        submit: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<SegmentedLanes, EngineError> {
        let mut segmented = Vec::new();
        for (mut lane, pending) in self.lanes.into_iter().zip(self.pending) {
            let spec = &self.spec;
            segmented.push(self.timer.measure(|wait| {
                let mut submit = |piece| wait.during(|| submit(piece));
                if !pending.is_empty() {
                    lane.push(&pending, &mut submit)?;
                }
                lane.finish(spec, &mut submit)
            })?);
        }
        Ok(SegmentedLanes {
            lanes: segmented,
            time: self.timer.time,
        })
    }
}

/// Adds up the time of work, without the time that the work waits.
#[derive(Debug, Default)]
struct WorkTimer {
    time: Duration,
}

/// Time that one piece of work has waited.
#[derive(Debug, Default)]
struct WaitTime(Duration);

impl WorkTimer {
    /// Does some work and adds its time, less what it reports as waiting.
    fn measure<T>(&mut self, work: impl FnOnce(&mut WaitTime) -> T) -> T {
        let (begun, mut waited) = (Instant::now(), WaitTime::default());
        let done = work(&mut waited);
        self.time += begun.elapsed().saturating_sub(waited.0);
        done
    }
}

impl WaitTime {
    fn during<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = wait();
        self.0 += begun.elapsed();
        done
    }
}

/// Segments one lane.
#[derive(Debug)]
struct LaneSegmenter {
    number: usize,
    /// The channel.
    index: usize,
    analyser: LaneAnalyser,
    segmenter: Segmenter,
    /// Segments that are not submitted yet.
    segments: Segments,
    /// Whether no piece is submitted yet.
    whole: bool,
    samples: usize,
}

impl LaneSegmenter {
    fn new(number: usize, band: Band, settings: &SegmentationSettings) -> Self {
        let first = match settings.lanes {
            LaneChoice::Select(channel) => usize::from(channel),
            LaneChoice::Auto | LaneChoice::Mix | LaneChoice::Each => 0,
        };
        Self {
            number,
            index: first + number,
            analyser: settings.turn_detection.analyser(),
            segmenter: Segmenter::new(Arc::clone(&settings.spec)).with_band(band),
            segments: Segments::default(),
            whole: true,
            samples: 0,
        }
    }

    /// Segments the next samples: [`PIECE_SAMPLES`] of them, or the last ones.
    fn push(
        &mut self,
        block: &[f32],
        submit: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        // The last block is submitted by `finish`. Otherwise the segment that the end adds would be an
        // entry of its own.
        if !self.segments.is_empty() {
            self.whole = false;
            submit(piece(self.number, std::mem::take(&mut self.segments), None))?;
        }
        self.samples += block.len();
        let index = self.index;
        self.segmenter
            .push_observed(block, &mut self.segments, &mut self.analyser)
            .map_err(|source| failed(index, source))
    }

    /// Ends the lane.
    fn finish(
        mut self,
        spec: &Spec,
        submit: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<LaneInfo, EngineError> {
        let index = self.index;
        let ending = self
            .segmenter
            .finish_observed(&mut self.segments, &mut self.analyser)
            .map_err(|source| failed(index, source))?;
        let turns = self.analyser.finish(spec, self.samples);
        let starts = self.whole.then(|| turns.starts.clone());
        if !self.segments.is_empty() {
            submit(piece(self.number, self.segments, starts))?;
        }
        Ok(LaneInfo {
            index,
            times: StepTimes {
                steps: turns.steps,
                segment: sample_time(SEGMENT_SAMPLES),
                end: sample_time(self.samples),
            },
            turns: turns.turns,
            starts: turns.starts,
            short: ending.short,
        })
    }
}

fn failed(lane: usize, source: FrontendError) -> EngineError {
    EngineError::Frontend { lane, source }
}

fn piece(lane: usize, segments: Segments, starts: Option<Vec<usize>>) -> Piece {
    Piece {
        lane,
        segments: Arc::new(segments.into_values()),
        starts,
    }
}
