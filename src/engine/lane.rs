//! A decoded recording to pieces of segments, lane after lane, as fast as they are taken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::EngineError;
use crate::audio::{LaneChoice, Recording};
use crate::decision::{Gate, Step, StepTimes};
use crate::frontend::{SAMPLE_RATE, SEGMENT_SAMPLES, Segmenter, Segments, Spec};

/// Samples segmented at a time: a piece of 64 segments at the default hop, two full batches.
const PIECE_SAMPLES: usize = 131_072;

/// A run of one lane's segments.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) lane: usize,
    /// `[N, 32, 129]`.
    pub(super) segments: Arc<[f32]>,
}

/// What is known of a recording once all its pieces are sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) lanes: Vec<Heard>,
    pub(super) duration: Duration,
    pub(super) truncated: bool,
    /// Time that decoding and segmenting took.
    pub(super) time: Duration,
}

/// What is known of a lane beside its segments.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) index: usize,
    pub(super) times: StepTimes,
    pub(super) short: bool,
}

/// Segments every lane and sends the pieces; stops early when nobody takes them.
pub(super) fn prepare(
    recording: Recording,
    choice: LaneChoice,
    spec: &Arc<Spec>,
    gate: Gate,
    pieces: &mpsc::Sender<Piece>,
) -> Result<Prepared, EngineError> {
    let samples = recording.lanes.first().map_or(0, Vec::len);
    let (duration, truncated) = (position(samples), recording.truncated);
    let first = match choice {
        LaneChoice::Select(channel) => usize::from(channel),
        LaneChoice::Auto | LaneChoice::Mix | LaneChoice::Each => 0,
    };
    let mut lanes = Vec::new();
    // By value, so that a lane's samples are freed once it is segmented.
    for (lane, samples) in recording.lanes.into_iter().enumerate() {
        let (count, short) = segment(lane, &samples, spec, pieces)?;
        let steps = (0..count)
            .map(|step| {
                let start = spec.segment_start(step, samples.len());
                let end = (start + SEGMENT_SAMPLES).min(samples.len());
                Step {
                    start: position(start),
                    speech: gate.holds_speech(&samples[start..end]),
                }
            })
            .collect();
        let times = StepTimes {
            steps,
            segment: position(SEGMENT_SAMPLES),
            end: position(samples.len()),
        };
        lanes.push(Heard {
            index: first + lane,
            times,
            short,
        });
    }
    Ok(Prepared {
        lanes,
        duration,
        truncated,
        time: Duration::ZERO,
    })
}

/// Sends one lane's pieces; gives the number of segments and whether the lane is short.
fn segment(
    lane: usize,
    samples: &[f32],
    spec: &Arc<Spec>,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(usize, bool), EngineError> {
    let failed = |source| EngineError::Frontend { lane, source };
    let mut count = 0;
    let mut send = |segments: Segments| {
        count += segments.len();
        if segments.is_empty() {
            return Ok(());
        }
        let piece = Piece {
            lane,
            segments: segments.into_values().into(),
        };
        pieces
            .blocking_send(piece)
            .map_err(|_| EngineError::Cancelled)
    };
    let mut segmenter = Segmenter::new(Arc::clone(spec));
    for block in samples.chunks(PIECE_SAMPLES) {
        let mut segments = Segments::default();
        segmenter.push(block, &mut segments).map_err(failed)?;
        send(segments)?;
    }
    let mut last = Segments::default();
    let ending = segmenter.finish(&mut last).map_err(failed)?;
    send(last)?;
    Ok((count, ending.short))
}

/// Samples at 16 kHz as time; exact, for a sample is 62.5 µs.
fn position(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * (1_000_000_000 / u64::from(SAMPLE_RATE)))
}
