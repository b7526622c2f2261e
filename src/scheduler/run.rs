//! A lane's way through the graphs without going back to its caller: when one of its entries ends, the
//! next is submitted in the same breath. A hop to the caller's thread and back would be one more wait
//! for a processor, under load the longest of them.

use super::core::{End, JobId, Refusal, Task};
use super::shell::{Failure, Spent};
use super::waiter::{Chunk, EncoderOutput, SequenceOutput};
use super::work::{Answer, Reply};
use crate::runtime::{History, Sizes};

/// A lane under way. It has one entry at a time, and these share a name, so that its waiter can cancel
/// it whichever is under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) job: JobId,
    stream: usize,
    sizes: Sizes,
    /// Steps of the longest chunk.
    longest: usize,
    /// Steps at which the stream's state is new, ascending. It is at 0 in any case.
    starts: Vec<usize>,
    /// `[T, C]`, once the encoder has run.
    features: Vec<f32>,
    /// The stream's state, but while a chunk is under way.
    history: Option<History>,
    /// What is known of the steps so far: `[T, K]` and `[T]`.
    logits: Vec<f32>,
    scores: Vec<f32>,
    spent: Spent,
    reply: Reply<SequenceOutput>,
}

impl Run {
    /// A lane of which nothing has been run.
    pub(super) fn new(
        (job, stream): (JobId, usize),
        (sizes, longest): (Sizes, usize),
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
            spent: Spent::default(),
            reply,
        })
    }

    /// What the sequence is to hear, `[T, C]`.
    pub(super) fn with_features(mut self: Box<Self>, features: Vec<f32>) -> Box<Self> {
        self.features = features;
        self
    }

    /// The encoder has run.
    pub(super) fn encoded(mut self: Box<Self>, encoding: EncoderOutput) -> Box<Self> {
        self.spent += encoding.spent;
        self.with_features(encoding.features)
    }

    /// The sequence has heard a chunk.
    pub(super) fn advanced(mut self: Box<Self>, evidence: SequenceOutput) -> Box<Self> {
        self.logits.extend_from_slice(&evidence.logits);
        self.scores.extend_from_slice(&evidence.scores);
        self.history = Some(evidence.history);
        self.spent += evidence.spent;
        self
    }

    /// The next chunk, and the task that it is; none if all is said.
    pub(super) fn next(&mut self) -> Option<(Task, Chunk)> {
        let width = self.sizes.features;
        let from = self.scores.len();
        let start = self.starts.iter().find(|start| **start > from);
        let last = self.features.len();
        let end = start.map_or(last, |start| last.min(start * width));
        let left = self.features.get(from * width..end)?;
        let features = left.chunks(self.longest * width).next()?.to_vec();
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

    /// All is said.
    pub(super) fn answer(self: Box<Self>) -> Answer {
        let history = self.history.unwrap_or_else(|| History::new(self.sizes));
        let evidence = SequenceOutput {
            logits: self.logits,
            scores: self.scores,
            history,
            spent: self.spent,
        };
        Answer::SequenceOutput(self.reply, Ok(evidence))
    }

    /// It ends before that.
    pub(super) fn fail(self: Box<Self>, failure: Failure) -> Answer {
        Answer::SequenceOutput(self.reply, Err(failure))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ended(Some(End::Expired)) => Self::Expired,
            Refusal::Ended(Some(End::Evicted { retry })) => Self::Evicted { retry },
            refusal => Self::Failed(refusal.to_string()),
        }
    }
}
