//! The lanes of a recording to pieces of segments, as fast as they are taken, and to the turns that are
//! heard on the way: lane after lane where all samples are there, else block by block.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::EngineError;
use super::hearing::{Hearing, Listener};
use crate::audio::LaneChoice;
use crate::decision::{StepTimes, Turn};
use crate::frontend::{
    Band, FRAME_HOP, FrontendError, SAMPLE_RATE, SEGMENT_SAMPLES, Segmenter, Segments, Spec,
};

/// Samples segmented at a time: a piece of 64 segments at the default hop, two full batches.
const PIECE_SAMPLES: usize = 131_072;

/// A run of one lane's segments.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) lane: usize,
    /// `[N, 32, 129]`.
    pub(super) segments: Arc<Vec<f32>>,
    /// If these are all of the lane, the steps at which its sequence starts anew.
    pub(super) starts: Option<Vec<usize>>,
}

/// What is known of the lanes once all their pieces are taken.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) lanes: Vec<Heard>,
    /// Time on the processor: segmenting, without waiting for somebody to take the pieces.
    pub(super) time: Duration,
}

/// What is known of a lane beside its segments.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) index: usize,
    pub(super) times: StepTimes,
    pub(super) turns: Vec<Turn>,
    /// Steps at which the sequence starts anew; the first is one.
    pub(super) starts: Vec<usize>,
    pub(super) short: bool,
}

/// Segments every lane and gives the pieces to `take`; stops early when that fails.
pub(super) fn prepare(
    (lanes, band): (Vec<Vec<f32>>, Band),
    choice: LaneChoice,
    spec: &Arc<Spec>,
    hearing: Hearing,
    mut take: impl FnMut(Piece) -> Result<(), EngineError>,
) -> Result<Prepared, EngineError> {
    let mut clock = Clock::default();
    let mut heard = Vec::new();
    // By value, so that a lane's samples are freed once it is segmented.
    for (number, samples) in lanes.into_iter().enumerate() {
        let mut lane = Lane::new((number, choice), band, spec, hearing);
        for block in samples.chunks(PIECE_SAMPLES) {
            clock.time(|waited| lane.push(block, &mut |piece| waited.of(|| take(piece))))?;
        }
        let take = &mut take;
        heard.push(clock.time(|waited| lane.finish(spec, &mut |piece| waited.of(|| take(piece))))?);
    }
    Ok(Prepared {
        lanes: heard,
        time: clock.time,
    })
}

/// The lanes of a recording whose samples come block by block.
#[derive(Debug)]
pub(super) struct Streamed {
    lanes: Vec<Lane>,
    /// Samples of each lane that are no whole piece yet.
    held: Vec<Vec<f32>>,
    spec: Arc<Spec>,
    clock: Clock,
}

impl Streamed {
    /// So many lanes at their start.
    pub(super) fn new(
        count: usize,
        band: Band,
        choice: LaneChoice,
        spec: &Arc<Spec>,
        hearing: Hearing,
    ) -> Self {
        let lanes = (0..count).map(|number| Lane::new((number, choice), band, spec, hearing));
        Self {
            lanes: lanes.collect(),
            held: vec![Vec::new(); count],
            spec: Arc::clone(spec),
            clock: Clock::default(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Takes the next samples of every lane; gives the pieces that they complete to `take`.
    pub(super) fn push(
        &mut self,
        block: &[Vec<f32>],
        take: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for (held, samples) in self.held.iter_mut().zip(block) {
            held.extend_from_slice(samples);
        }
        let ready = self.held.first().map_or(0, Vec::len) / PIECE_SAMPLES;
        // The pieces that `prepare` makes, so that both give the same.
        for number in 0..ready {
            let samples = number * PIECE_SAMPLES..(number + 1) * PIECE_SAMPLES;
            for (lane, held) in self.lanes.iter_mut().zip(&self.held) {
                let samples = &held[samples.clone()];
                self.clock
                    .time(|waited| lane.push(samples, &mut |piece| waited.of(|| take(piece))))?;
            }
        }
        for held in &mut self.held {
            held.drain(..ready * PIECE_SAMPLES);
        }
        Ok(())
    }

    /// The recording is over.
    pub(super) fn finish(
        mut self,
        take: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<Prepared, EngineError> {
        let mut heard = Vec::new();
        for (mut lane, held) in self.lanes.into_iter().zip(self.held) {
            let spec = &self.spec;
            heard.push(self.clock.time(|waited| {
                let mut take = |piece| waited.of(|| take(piece));
                if !held.is_empty() {
                    lane.push(&held, &mut take)?;
                }
                lane.finish(spec, &mut take)
            })?);
        }
        Ok(Prepared {
            lanes: heard,
            time: self.clock.time,
        })
    }
}

/// Counts time on the processor.
#[derive(Debug, Default)]
struct Clock {
    time: Duration,
}

/// Time that passed in waiting for somebody to take a piece.
#[derive(Debug, Default)]
struct Waited(Duration);

impl Clock {
    /// Counts the time of some work, without what it waited.
    fn time<T>(&mut self, work: impl FnOnce(&mut Waited) -> T) -> T {
        let (begun, mut waited) = (Instant::now(), Waited::default());
        let done = work(&mut waited);
        self.time += begun.elapsed().saturating_sub(waited.0);
        done
    }
}

impl Waited {
    fn of<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = wait();
        self.0 += begun.elapsed();
        done
    }
}

/// One lane under way.
#[derive(Debug)]
struct Lane {
    number: usize,
    /// The channel.
    index: usize,
    listener: Listener,
    segmenter: Segmenter,
    /// Those that make no piece yet.
    segments: Segments,
    /// No piece was taken yet.
    whole: bool,
    samples: usize,
}

impl Lane {
    fn new(
        (number, choice): (usize, LaneChoice),
        band: Band,
        spec: &Arc<Spec>,
        hearing: Hearing,
    ) -> Self {
        let first = match choice {
            LaneChoice::Select(channel) => usize::from(channel),
            LaneChoice::Auto | LaneChoice::Mix | LaneChoice::Each => 0,
        };
        Self {
            number,
            index: first + number,
            listener: hearing.listener(),
            segmenter: Segmenter::new(Arc::clone(spec)).with_band(band),
            segments: Segments::default(),
            whole: true,
            samples: 0,
        }
    }

    /// Segments the next samples, [`PIECE_SAMPLES`] or the last ones.
    fn push(
        &mut self,
        block: &[f32],
        take: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        // The last block's go with what the end adds, not as an entry of one segment beside it.
        if !self.segments.is_empty() {
            self.whole = false;
            take(piece(self.number, std::mem::take(&mut self.segments), None))?;
        }
        self.samples += block.len();
        let index = self.index;
        self.segmenter
            .push_observed(block, &mut self.segments, &mut self.listener)
            .map_err(|source| failed(index, source))
    }

    /// The lane is over.
    fn finish(
        mut self,
        spec: &Spec,
        take: &mut impl FnMut(Piece) -> Result<(), EngineError>,
    ) -> Result<Heard, EngineError> {
        let index = self.index;
        let ending = self
            .segmenter
            .finish_observed(&mut self.segments, &mut self.listener)
            .map_err(|source| failed(index, source))?;
        let turns = self.listener.finish(spec, self.samples);
        let starts = self.whole.then(|| turns.starts.clone());
        if !self.segments.is_empty() {
            take(piece(self.number, self.segments, starts))?;
        }
        Ok(Heard {
            index,
            times: StepTimes {
                steps: turns.steps,
                segment: position(SEGMENT_SAMPLES),
                end: position(self.samples),
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

/// Segments of the largest piece: a hop may fall into it late, and the end adds one.
pub(super) fn most_segments(spec: &Spec) -> usize {
    PIECE_SAMPLES / (spec.segment_hop * FRAME_HOP) + 2
}

/// Samples at 16 kHz as time; exact, for a sample is 62.5 µs.
pub(super) fn position(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * (1_000_000_000 / u64::from(SAMPLE_RATE)))
}
