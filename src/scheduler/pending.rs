//! What the shell keeps of an entry beside the core's state: its tensors, the result as it grows, and where the
//! result goes.

use std::sync::Arc;
use std::time::Duration;

use ndarray::{ArrayViewMut1, s};

use super::chunk::Chunk;
use super::core::Member;
use super::lane_task::LaneTask;
use super::reply::{PendingReply, Reply};
use super::results::{EncoderOutput, Failure, SequenceOutput, TimeSpent};
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{Encoded, History, StepEvidence};

/// Where an entry's result goes.
#[derive(Debug)]
pub(super) enum Destination<T> {
    /// To the caller.
    Caller(Reply<T>),
    /// To a lane, which continues with it.
    Lane(Box<LaneTask>),
}

/// What follows from the end of an entry.
pub(super) enum EntryOutcome {
    /// A caller gets its reply.
    Reply(PendingReply),
    /// A lane submits its next entry.
    Advance(Box<LaneTask>),
}

/// An entry's tensors and result.
#[derive(Debug)]
pub(super) enum PendingEntry {
    Segments(PendingSegments),
    Chunk(PendingChunk),
}

/// Segments for the encoder.
#[derive(Debug)]
pub(super) struct PendingSegments {
    /// `[N, 32, 129]`.
    pub(super) segments: Arc<Vec<f32>>,
    result: EncoderOutput,
    destination: Destination<EncoderOutput>,
}

/// A chunk for the sequence.
#[derive(Debug)]
pub(super) struct PendingChunk {
    /// None while a batch runs it.
    pub(super) chunk: Option<Chunk>,
    result: Option<SequenceOutput>,
    destination: Destination<SequenceOutput>,
}

/// A sequence batch's output, and the places of one member's values in it.
pub(super) struct ChunkOutput<'a> {
    pub(super) member: &'a Member,
    /// The member's row.
    pub(super) row: usize,
    pub(super) evidence: &'a StepEvidence,
    /// The stream's state after the member's steps.
    pub(super) history: History,
}

impl PendingSegments {
    pub(super) fn new(segments: Arc<Vec<f32>>, destination: Destination<EncoderOutput>) -> Self {
        Self {
            segments,
            result: EncoderOutput::default(),
            destination,
        }
    }

    /// Adds a batch's features, of which this entry's begin at `row`. Several workers may end an entry's
    /// batches in any order, so features are written to their place, not appended.
    pub(super) fn add(&mut self, member: &Member, row: usize, encoded: &Encoded, device: Duration) {
        let total = self.segments.len() / SEGMENT_VALUES;
        let (from, to) = (
            row..row + member.items,
            member.first..member.first + member.items,
        );
        let width = encoded.features.ncols();
        self.result.features.resize(total * width, 0.0);
        let features = encoded.features.slice(s![from.clone(), ..]);
        let place = &mut self.result.features[to.start * width..to.end * width];
        // Rows of the device's array lie one behind the other, so this is one copy.
        place.copy_from_slice(features.as_slice().unwrap_or_default());
        if let Some(distance) = &encoded.distance {
            self.result.distance.resize(total, 0.0);
            ArrayViewMut1::from(&mut self.result.distance[to]).assign(&distance.slice(s![from]));
        }
        let spent = &mut self.result.spent;
        spent.queue = spent.queue.max(member.waited);
        spent.device += device;
    }
}

impl PendingChunk {
    pub(super) fn new(chunk: Chunk, destination: Destination<SequenceOutput>) -> Self {
        Self {
            chunk: Some(chunk),
            result: None,
            destination,
        }
    }

    /// Sets the result from a batch's output.
    pub(super) fn set(&mut self, output: ChunkOutput<'_>, device: Duration) {
        let ChunkOutput {
            member,
            row,
            evidence,
            history,
        } = output;
        let logits = evidence.logits.slice(s![row, ..member.items, ..]);
        let scores = evidence.scores.slice(s![row, ..member.items]);
        self.result = Some(SequenceOutput {
            logits: logits.iter().copied().collect(),
            scores: scores.to_vec(),
            history,
            spent: TimeSpent {
                queue: member.waited,
                device,
            },
        });
    }
}

impl PendingEntry {
    /// Ends the entry, with a failure or with the result that it has.
    pub(super) fn end(self, failure: Option<Failure>) -> EntryOutcome {
        match self {
            Self::Segments(entry) => {
                let result = failure.map_or(Ok(entry.result), Err);
                match (entry.destination, result) {
                    (Destination::Caller(reply), result) => {
                        EntryOutcome::Reply(PendingReply::Encoder(reply, result))
                    }
                    (Destination::Lane(lane), Ok(output)) => {
                        EntryOutcome::Advance(lane.with_encoder_output(output))
                    }
                    (Destination::Lane(lane), Err(failure)) => {
                        EntryOutcome::Reply(lane.fail(failure))
                    }
                }
            }
            Self::Chunk(entry) => {
                let result = entry.result.ok_or(Failure::Lost);
                let result = failure.map_or(result, Err);
                match (entry.destination, result) {
                    (Destination::Caller(reply), result) => {
                        EntryOutcome::Reply(PendingReply::Sequence(reply, result))
                    }
                    (Destination::Lane(lane), Ok(output)) => {
                        EntryOutcome::Advance(lane.with_sequence_output(output))
                    }
                    (Destination::Lane(lane), Err(failure)) => {
                        EntryOutcome::Reply(lane.fail(failure))
                    }
                }
            }
        }
    }
}
