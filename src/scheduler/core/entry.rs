//! What is scheduled.

/// Names an entry; the shell gives each its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

/// Names whoever an entry is for: one request or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u64);

/// The graph that runs an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Graph {
    /// Segments to features. Items are segments; an entry may be split over batches.
    Encoder,
    /// Features to step evidence. Items are the steps of one chunk of a stream, which is one row
    /// of a batch. A stream's next chunk is submitted once this one has ended.
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

/// One caller's work for one graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names the entry.
    pub id: EntryId,
    /// Whom it is for.
    pub caller: CallerId,
    /// The graph that runs it.
    pub graph: Graph,
    /// Segments or steps; at least one.
    pub items: usize,
    /// Memory that its tensors hold.
    pub bytes: usize,
}
