//! Batches: what instances run, and how batches, entries and jobs end.

use std::time::Duration;

use super::class::Class;
use super::entry::EntryId;
use super::graph::Graph;
use super::job::JobId;
use super::shapes::Shape;
use super::time::Time;

/// Names a batch under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub(super) u64);

/// One entry's part in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The entry.
    pub entry: EntryId,
    /// The job that the entry belongs to.
    pub job: JobId,
    /// The job's class.
    pub class: Class,
    /// The first of the entry's items that is in this batch.
    pub first: usize,
    /// How many of the entry's items are in this batch.
    pub items: usize,
    /// How long the entry had waited when the batch was formed.
    pub waited: Duration,
}

/// What a free instance runs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Names the batch in [`Core::handle_done`](super::Core::handle_done).
    pub id: BatchId,
    /// The graph to run.
    pub graph: Graph,
    /// The closed shape to pad to.
    pub shape: Shape,
    /// Predicted device time.
    pub time: Duration,
    /// In the order of the batch's rows.
    pub members: Vec<Member>,
}

impl Batch {
    /// Returns how many rows are not padding: segments of an encoder batch, chunks of a sequence batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self.graph {
            Graph::Encoder => self.items(),
            Graph::Sequence => self.members.len(),
        }
    }

    /// Returns how many segments or steps are not padding.
    #[must_use]
    pub fn items(&self) -> usize {
        self.members.iter().map(|member| member.items).sum()
    }
}

/// How a batch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran.
    Ran {
        /// Device time, without the time in which the system kept the thread from running.
        cost: Duration,
        /// Places in [`Batch::members`] of which the outputs are not finite, ascending.
        broken: Vec<usize>,
    },
    /// It gave no result. Its members are run again, each alone, once.
    Failed,
}

/// What a free instance should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this batch.
    Run(Batch),
    /// Poll again at this time, or when something happens. Until then it pays to wait for more members.
    Wait(Time),
    /// Poll again when something happens.
    Idle,
}

/// How an entry or a job ended that nobody cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All items of the entry were run.
    Answered,
    /// Some items of the entry failed, in a batch and then alone, or gave a result that is not finite.
    Failed,
    /// The job can no longer be done by its deadline.
    Expired,
    /// The job was evicted to admit an interactive one.
    Evicted {
        /// When to retry, from the eviction.
        retry: Duration,
    },
}

/// An entry or a job that ended; see [`Core::poll_ended`](super::Core::poll_ended).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// An entry.
    Entry(EntryId, End),
    /// A job that expired or was evicted. Its entries ended before.
    Job(JobId, End),
}
