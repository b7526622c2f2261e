//! The two graphs of a model, and a value for each of them.

use super::per_variant::per_variant;

/// One of a model's graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Graph {
    /// Segments to features.
    Encoder,
    /// Features to logits and attention scores of each step.
    Sequence,
}

impl Graph {
    /// Both graphs.
    pub const ALL: [Self; 2] = [Self::Encoder, Self::Sequence];

    /// Returns the graph's name, as metrics label it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Sequence => "sequence",
        }
    }

    /// Returns how many rows of a batch one entry's `items` fill: a segment is a row, a chunk of steps is one
    /// row.
    pub(super) fn rows_of(self, items: usize) -> usize {
        match self {
            Self::Encoder => items,
            Self::Sequence => 1,
        }
    }
}

per_variant! {
    /// One value for each graph, indexed by [`Graph`].
    PerGraph by Graph {
        encoder: Encoder,
        sequence: Sequence,
    }
}
