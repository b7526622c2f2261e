//! The lanes of a recording to pieces of segments, lane after lane, as fast as they are taken, and to the
//! turns that are heard on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::EngineError;
use super::hearing::Hearing;
use crate::audio::LaneChoice;
use crate::decision::{StepTimes, Turn};
use crate::frontend::{Band, FRAME_HOP, SAMPLE_RATE, SEGMENT_SAMPLES, Segmenter, Segments, Spec};

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
    let first = match choice {
        LaneChoice::Select(channel) => usize::from(channel),
        LaneChoice::Auto | LaneChoice::Mix | LaneChoice::Each => 0,
    };
    let begun = Instant::now();
    let mut waited = Duration::ZERO;
    let mut take = |piece| {
        let begun = Instant::now();
        let taken = take(piece);
        waited += begun.elapsed();
        taken
    };
    let mut heard = Vec::new();
    // By value, so that a lane's samples are freed once it is segmented.
    for (lane, samples) in lanes.into_iter().enumerate() {
        let index = first + lane;
        let failed = |source| EngineError::Frontend {
            lane: index,
            source,
        };
        let mut listener = hearing.listener();
        let mut segmenter = Segmenter::new(Arc::clone(spec)).with_band(band);
        let mut segments = Segments::default();
        let mut whole = true;
        for block in samples.chunks(PIECE_SAMPLES) {
            // The last block's go with what the end adds, not as an entry of one segment beside it.
            if !segments.is_empty() {
                whole = false;
                take(piece(lane, std::mem::take(&mut segments), None))?;
            }
            segmenter
                .push_heard(block, &mut segments, &mut listener)
                .map_err(failed)?;
        }
        let ending = segmenter
            .finish_heard(&mut segments, &mut listener)
            .map_err(failed)?;
        let turns = listener.finish(spec, samples.len());
        let starts = whole.then(|| turns.starts.clone());
        if !segments.is_empty() {
            take(piece(lane, segments, starts))?;
        }
        heard.push(Heard {
            index,
            times: StepTimes {
                steps: turns.steps,
                segment: position(SEGMENT_SAMPLES),
                end: position(samples.len()),
            },
            turns: turns.turns,
            starts: turns.starts,
            short: ending.short,
        });
    }
    Ok(Prepared {
        lanes: heard,
        time: begun.elapsed().saturating_sub(waited),
    })
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
