//! Pieces of a lane: the runs of segments in which a recording goes to the scheduler.

use std::sync::Arc;

use super::error::EngineError;
use crate::frontend::{FRAME_HOP, Spec};

/// Samples that are segmented at a time: 64 segments at the default hop, which are two full batches.
pub(super) const PIECE_SAMPLES: usize = 131_072;
/// Most pieces of one recording that are submitted and not yet done.
pub(super) const PIECES_UNDER_WAY: usize = 3;

/// Successive segments of one lane.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) lane: usize,
    /// `[N, 32, 129]`.
    pub(super) segments: Arc<Vec<f32>>,
    /// If these are all segments of the lane: the steps at which its sequence state is reset.
    pub(super) starts: Option<Vec<usize>>,
}

/// Work that a recording will still submit, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemainingWork {
    pub(super) lanes: usize,
    /// Samples of each lane that are decoded.
    pub(super) samples: usize,
    /// Segments of all lanes that are not submitted yet.
    pub(super) segments: usize,
    /// Steps of all lanes, submitted or not.
    pub(super) steps: usize,
}

/// Receives the pieces of one recording. An error ends the decoding.
pub(super) trait PieceSink {
    /// Announces work before any piece of it is submitted.
    fn announce(&mut self, remaining: RemainingWork) -> Result<(), EngineError>;

    /// Submits the next piece; may block.
    fn submit(&mut self, piece: Piece) -> Result<(), EngineError>;
}

/// Returns the most segments of a piece: one more if a hop ends late in it, and one more at the end.
pub(super) fn most_segments(spec: &Spec) -> usize {
    PIECE_SAMPLES / (spec.segment_hop * FRAME_HOP) + 2
}
