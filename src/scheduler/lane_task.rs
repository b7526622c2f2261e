//! A lane's way through both graphs without a return to its caller.
//!
//! When one of the lane's entries ends, the next is submitted under the same lock. A return to the caller's
//! thread would be one more wait for a processor, which is the longest wait under load.

use super::chunk::Chunk;
use super::core::{JobId, Task};
use super::reply::{PendingReply, Reply};
use super::results::{EncoderOutput, Failure, SequenceOutput, TimeSpent};
use crate::runtime::{History, Sizes};

/// A lane under way. It has one entry at a time. All its entries have the same name, so its waiter can cancel
/// whichever is under way.
#[derive(Debug)]
pub(super) struct LaneTask {
    pub(super) job: JobId,
    stream: usize,
    sizes: Sizes,
    /// Steps of the longest chunk.
    longest: usize,
    /// Steps at which the stream's state is new, ascending. At step 0 it always is.
    starts: Vec<usize>,
    /// `[T, C]`, once the encoder has run.
    features: Vec<f32>,
    /// The stream's state. A chunk that is under way holds it meanwhile.
    history: Option<History>,
    /// Logits of the steps so far, `[T, K]`.
    logits: Vec<f32>,
    /// Attention scores of the steps so far, `[T]`.
    scores: Vec<f32>,
    spent: TimeSpent,
    reply: Reply<SequenceOutput>,
}

impl LaneTask {
    /// Returns a lane of which nothing has been run.
    pub(super) fn new(
        job: JobId,
        stream: usize,
        sizes: Sizes,
        longest: usize,
        starts: Vec<usize>,
        reply: Reply<SequenceOutput>,
    ) -> Box<Self> {
        Box::new(Self {
            job,
            stream,
            sizes,
            longest,
            starts,
            features: Vec::new(),
            history: None,
            logits: Vec::new(),
            scores: Vec::new(),
            spent: TimeSpent::default(),
            reply,
        })
    }

    /// Sets the input of the sequence graph, `[T, C]`.
    pub(super) fn with_features(mut self: Box<Self>, features: Vec<f32>) -> Box<Self> {
        self.features = features;
        self
    }

    /// Adds the output of the encoder.
    pub(super) fn with_encoder_output(mut self: Box<Self>, output: EncoderOutput) -> Box<Self> {
        self.spent += output.spent;
        self.with_features(output.features)
    }

    /// Adds the output of a chunk.
    pub(super) fn with_sequence_output(mut self: Box<Self>, output: SequenceOutput) -> Box<Self> {
        self.logits.extend_from_slice(&output.logits);
        self.scores.extend_from_slice(&output.scores);
        self.history = Some(output.history);
        self.spent += output.spent;
        self
    }

    /// Returns the next chunk, and the task that it is; none if all steps were run.
    pub(super) fn next(&mut self) -> Option<(Task, Chunk)> {
        let width = self.sizes.features;
        let from = self.scores.len();
        let start = self.starts.iter().find(|start| **start > from);
        let last = self.features.len();
        let end = start.map_or(last, |start| last.min(start * width));
        let remaining = self.features.get(from * width..end)?;
        let features = remaining.chunks(self.longest * width).next()?.to_vec();
        let task = Task::Advance {
            stream: self.stream,
            from,
            steps: features.len() / width,
        };
        let carried = self.history.take();
        let history = carried.filter(|_| !self.starts.contains(&from));
        let history = history.unwrap_or_else(|| History::new(self.sizes));
        Some((task, Chunk { features, history }))
    }

    /// Returns the reply of a lane of which all steps were run.
    pub(super) fn finish(self: Box<Self>) -> PendingReply {
        let history = self.history.unwrap_or_else(|| History::new(self.sizes));
        let output = SequenceOutput {
            logits: self.logits,
            scores: self.scores,
            history,
            spent: self.spent,
        };
        PendingReply::Sequence(self.reply, Ok(output))
    }

    /// Returns the reply of a lane that ends before that.
    pub(super) fn fail(self: Box<Self>, failure: Failure) -> PendingReply {
        PendingReply::Sequence(self.reply, Err(failure))
    }
}
