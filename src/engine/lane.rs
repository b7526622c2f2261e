//! The lanes of a recording to pieces of segments, lane after lane, as fast as they are taken, and to the
//! turns that are heard on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::EngineError;
use super::hearing::{Hearing, Listener};
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
}

/// What is known of a recording once all its pieces are sent.
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

/// Segments every lane and sends the pieces; stops early when nobody takes them.
pub(super) fn prepare(
    (lanes, band): (Vec<Vec<f32>>, Band),
    choice: LaneChoice,
    spec: &Arc<Spec>,
    hearing: Hearing,
    pieces: &mpsc::Sender<Piece>,
) -> Result<Prepared, EngineError> {
    let first = match choice {
        LaneChoice::Select(channel) => usize::from(channel),
        LaneChoice::Auto | LaneChoice::Mix | LaneChoice::Each => 0,
    };
    let mut prepared = Prepared {
        lanes: Vec::new(),
        time: Duration::ZERO,
    };
    // By value, so that a lane's samples are freed once it is segmented.
    for (lane, samples) in lanes.into_iter().enumerate() {
        let index = first + lane;
        let mut sender = Sender {
            lane,
            index,
            pieces,
            waited: Duration::ZERO,
        };
        let begun = Instant::now();
        let mut listener = hearing.listener();
        let short = segment(&samples, band, spec, &mut listener, &mut sender)?;
        prepared.time += begun.elapsed().saturating_sub(sender.waited);
        let heard = listener.finish(spec, samples.len());
        let times = StepTimes {
            steps: heard.steps,
            segment: position(SEGMENT_SAMPLES),
            end: position(samples.len()),
        };
        prepared.lanes.push(Heard {
            index,
            times,
            turns: heard.turns,
            starts: heard.starts,
            short,
        });
    }
    Ok(prepared)
}

/// Where one lane's pieces go.
struct Sender<'a> {
    lane: usize,
    /// The lane's channel, for messages.
    index: usize,
    pieces: &'a mpsc::Sender<Piece>,
    /// Time spent waiting for a place.
    waited: Duration,
}

impl Sender<'_> {
    fn send(&mut self, segments: Segments) -> Result<(), EngineError> {
        if segments.is_empty() {
            return Ok(());
        }
        let piece = Piece {
            lane: self.lane,
            segments: Arc::new(segments.into_values()),
        };
        let begun = Instant::now();
        let sent = self.pieces.blocking_send(piece);
        self.waited += begun.elapsed();
        sent.map_err(|_| EngineError::Cancelled)
    }
}

/// Sends one lane's pieces; gives whether the lane is short.
fn segment(
    samples: &[f32],
    band: Band,
    spec: &Arc<Spec>,
    listener: &mut Listener,
    sender: &mut Sender<'_>,
) -> Result<bool, EngineError> {
    let lane = sender.index;
    let failed = |source| EngineError::Frontend { lane, source };
    let mut segmenter = Segmenter::new(Arc::clone(spec)).with_band(band);
    let mut segments = Segments::default();
    for block in samples.chunks(PIECE_SAMPLES) {
        // The last block's go with what the end adds, not as an entry of one segment beside it.
        sender.send(std::mem::take(&mut segments))?;
        segmenter
            .push_heard(block, &mut segments, listener)
            .map_err(failed)?;
    }
    let ending = segmenter
        .finish_heard(&mut segments, listener)
        .map_err(failed)?;
    sender.send(segments)?;
    Ok(ending.short)
}

/// Segments of the largest piece: a hop may fall into it late, and the end adds one.
pub(super) fn most_segments(spec: &Spec) -> usize {
    PIECE_SAMPLES / (spec.segment_hop * FRAME_HOP) + 2
}

/// Samples at 16 kHz as time; exact, for a sample is 62.5 µs.
pub(super) fn position(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * (1_000_000_000 / u64::from(SAMPLE_RATE)))
}
