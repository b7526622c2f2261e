//! What is scheduled: entries, each one piece of a job's work for one graph.

use super::job::JobId;

/// Names an entry; no two that are held share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

/// The graph that runs an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Graph {
    /// Segments to features.
    Encoder,
    /// Features to step evidence.
    Sequence,
}

impl Graph {
    /// Both graphs.
    pub const ALL: [Self; 2] = [Self::Encoder, Self::Sequence];

    /// The graph's name, as metrics label it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Sequence => "sequence",
        }
    }
}

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A run of segments; it may be split over batches.
    Encode {
        /// How many.
        segments: usize,
    },
    /// The next chunk of one of the job's streams, one row of a batch. A stream has one chunk in
    /// hand at a time, for each begins with the state that the one before left.
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
    /// The graph that runs it.
    #[must_use]
    pub fn graph(self) -> Graph {
        match self {
            Self::Encode { .. } => Graph::Encoder,
            Self::Advance { .. } => Graph::Sequence,
        }
    }

    /// Segments or steps.
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
    /// What it asks for.
    pub task: Task,
    /// Memory that its tensors hold.
    pub bytes: usize,
}
