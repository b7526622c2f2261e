//! What is kept of an entry beside what the core knows: its tensors, the result as it grows, and
//! where that goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::core::{Batch, End, Member};
use super::run::Run;
use super::shell::{Failure, Spent};
use super::waiter::{Chunk, EncoderOutput, SequenceOutput};
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{Encoded, History, Sizes, StepEvidence};

pub(super) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// What becomes of an entry's result.
#[derive(Debug)]
pub(super) enum Then<T> {
    /// The caller gets it.
    Reply(Reply<T>),
    /// A lane goes on with it.
    Run(Box<Run>),
}

/// What comes of an entry that ended.
pub(super) enum Outcome {
    /// Its caller is told.
    Answer(Answer),
    /// Its lane goes on.
    Run(Box<Run>),
}

/// An entry's tensors and result.
#[derive(Debug)]
pub(super) enum Pending {
    Segments(SegmentsWork),
    Chunk(ChunkWork),
}

#[derive(Debug)]
pub(super) struct SegmentsWork {
    pub(super) segments: Arc<Vec<f32>>,
    result: EncoderOutput,
    then: Then<EncoderOutput>,
}

#[derive(Debug)]
pub(super) struct ChunkWork {
    /// Lent to the batch that runs it.
    pub(super) chunk: Option<Chunk>,
    result: Option<SequenceOutput>,
    then: Then<SequenceOutput>,
}

impl SegmentsWork {
    pub(super) fn new(segments: Arc<Vec<f32>>, then: Then<EncoderOutput>) -> Self {
        Self {
            segments,
            result: EncoderOutput::default(),
            then,
        }
    }

    /// Adds a batch's features, of which this entry's begin at `row`. An entry's batches may end in
    /// any order on several workers, so features go to their place, not to the end.
    pub(super) fn keep(
        &mut self,
        member: &Member,
        row: usize,
        encoded: &Encoded,
        device: Duration,
        sizes: Sizes,
    ) {
        let total = self.segments.len() / SEGMENT_VALUES;
        let width = sizes.features;
        self.result.features.resize(total * width, 0.0);
        self.result.features[member.first * width..][..member.items * width]
            .copy_from_slice(&encoded.features[row * width..][..member.items * width]);
        if !encoded.distance.is_empty() {
            self.result.distance.resize(total, 0.0);
            self.result.distance[member.first..][..member.items]
                .copy_from_slice(&encoded.distance[row..][..member.items]);
        }
        let spent = &mut self.result.spent;
        spent.queue = spent.queue.max(member.waited);
        spent.device += device;
    }
}

impl ChunkWork {
    pub(super) fn new(chunk: Chunk, then: Then<SequenceOutput>) -> Self {
        Self {
            chunk: Some(chunk),
            result: None,
            then,
        }
    }

    /// Takes what a batch says of this entry's steps, in the given row.
    pub(super) fn keep(
        &mut self,
        (member, row): (&Member, usize),
        (batch, evidence): (&Batch, &StepEvidence),
        history: History,
        device: Duration,
        sizes: Sizes,
    ) {
        let steps = batch.shape.steps;
        let logits = &evidence.logits[row * steps * sizes.labels..];
        let scores = &evidence.scores[row * steps..];
        self.result = Some(SequenceOutput {
            logits: logits[..member.items * sizes.labels].to_vec(),
            scores: scores[..member.items].to_vec(),
            history,
            spent: Spent {
                queue: member.waited,
                device,
            },
        });
    }
}

/// An answer, to be sent once no lock is held.
#[derive(Debug)]
pub(super) enum Answer {
    EncoderOutput(Reply<EncoderOutput>, Result<EncoderOutput, Failure>),
    SequenceOutput(Reply<SequenceOutput>, Result<SequenceOutput, Failure>),
    Job(oneshot::Sender<End>, End),
}

impl Pending {
    /// The entry has ended, well or not.
    pub(super) fn end(self, failure: Option<Failure>) -> Outcome {
        match self {
            Self::Segments(work) => {
                let result = failure.map_or(Ok(work.result), Err);
                match (work.then, result) {
                    (Then::Reply(reply), result) => {
                        Outcome::Answer(Answer::EncoderOutput(reply, result))
                    }
                    (Then::Run(run), Ok(encoding)) => Outcome::Run(run.encoded(encoding)),
                    (Then::Run(run), Err(failure)) => Outcome::Answer(run.fail(failure)),
                }
            }
            Self::Chunk(work) => {
                let result = work.result.ok_or(Failure::Lost);
                let result = failure.map_or(result, Err);
                match (work.then, result) {
                    (Then::Reply(reply), result) => {
                        Outcome::Answer(Answer::SequenceOutput(reply, result))
                    }
                    (Then::Run(run), Ok(evidence)) => Outcome::Run(run.advanced(evidence)),
                    (Then::Run(run), Err(failure)) => Outcome::Answer(run.fail(failure)),
                }
            }
        }
    }
}

impl Answer {
    /// Sends it. Nobody may be waiting any more; then it has nowhere to go.
    pub(super) fn send(self) {
        match self {
            Self::EncoderOutput(reply, result) => drop(reply.send(result)),
            Self::SequenceOutput(reply, result) => drop(reply.send(result)),
            Self::Job(reply, end) => drop(reply.send(end)),
        }
    }
}
