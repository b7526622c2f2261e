//! Entries: each is one piece of a job's work for one graph.

use super::graph::Graph;
use super::job::JobId;

/// Names an entry. No two entries that are held share a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

/// What an entry runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Consecutive segments for the encoder. Several batches may run them.
    Encode {
        /// How many segments.
        segments: usize,
    },
    /// The next chunk of one of the job's streams: one row of a sequence batch. A stream has at most one chunk
    /// at a time, because each chunk begins with the state that the one before left.
    Advance {
        /// The stream, by its number within the job.
        stream: usize,
        /// Steps of the stream that came before.
        from: usize,
        /// Steps of this chunk.
        steps: usize,
    },
}

impl Task {
    /// Returns the graph that runs it.
    #[must_use]
    pub fn graph(self) -> Graph {
        match self {
            Self::Encode { .. } => Graph::Encoder,
            Self::Advance { .. } => Graph::Sequence,
        }
    }

    /// Returns how many segments or steps it has.
    #[must_use]
    pub fn items(self) -> usize {
        match self {
            Self::Encode { segments } => segments,
            Self::Advance { steps, .. } => steps,
        }
    }
}

/// One piece of a job's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names the entry.
    pub id: EntryId,
    /// The job that it belongs to.
    pub job: JobId,
    /// What it runs.
    pub task: Task,
    /// Bytes that its tensors hold.
    pub bytes: usize,
}
