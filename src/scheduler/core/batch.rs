//! What instances run.

use std::time::Duration;

use super::entry::{EntryId, Graph};
use super::job::{Class, JobId};
use super::shapes::Shape;

/// Names a batch under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub(super) u64);

/// One entry's part in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whose part it is.
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
    /// Rows that are not padding: segments of an encoder batch, chunks of a sequence batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self.graph {
            Graph::Encoder => self.items(),
            Graph::Sequence => self.members.len(),
        }
    }

    /// Segments or steps that are not padding.
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
        /// Time on the device, but for time that the system kept the device from it.
        cost: Duration,
        /// Places in [`Batch::members`] whose outputs are not finite, ascending.
        broken: Vec<usize>,
    },
    /// It gave no result. Its members are run again, each alone, once.
    Failed,
}

/// What a free instance should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this.
    Run(Batch),
    /// Ask again then, or when something happens: companions are worth waiting for until then.
    Wait(super::Time),
    /// Ask again when something happens.
    Idle,
}

/// How an entry or a job ended that nobody cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All the entry's items were run.
    Answered,
    /// Some of the entry's items could not be run, nor again by themselves, or gave no finite
    /// result.
    Failed,
    /// The job can no longer be done by its deadline.
    Expired,
    /// The job made room for an interactive one.
    Evicted {
        /// When to try again, from then.
        retry: Duration,
    },
}

/// Something ended; see [`Core::poll_ended`](super::Core::poll_ended).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// An entry.
    Entry(EntryId, End),
    /// A job, after its entries: expired or evicted.
    Job(JobId, End),
}
