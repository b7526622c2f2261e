//! The closed set of batch shapes: what is run is padded to one of these, so that a runtime sees
//! no shape that was not there at warm-up. (One that may not run padding, as that of a recurrent bundle,
//! takes such a batch apart by itself.)

use super::{Graph, Member};

/// Size of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// N: segments of an encoder batch, chunks of a sequence batch.
    pub rows: usize,
    /// T: steps of each chunk; 1 for the encoder.
    pub steps: usize,
}

/// Which sizes there are. Each list is ascending and not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shapes {
    encoder_rows: Vec<usize>,
    sequence_rows: Vec<usize>,
    sequence_steps: Vec<usize>,
}

impl Default for Shapes {
    /// Powers of two: padding is never more than half, and the set stays small. A CPU gains
    /// nothing beyond 32 segments or 16 chunks (docs/design.md).
    fn default() -> Self {
        Self {
            encoder_rows: vec![1, 2, 4, 8, 16, 32],
            sequence_rows: vec![1, 2, 4, 8, 16],
            sequence_steps: vec![8, 16, 32],
        }
    }
}

impl Shapes {
    /// Every shape of a graph.
    #[must_use]
    pub fn all(&self, graph: Graph) -> Vec<Shape> {
        match graph {
            Graph::Encoder => self
                .encoder_rows
                .iter()
                .map(|&rows| Shape { rows, steps: 1 })
                .collect(),
            Graph::Sequence => {
                let steps = |&rows| {
                    self.sequence_steps
                        .iter()
                        .map(move |&steps| Shape { rows, steps })
                };
                self.sequence_rows.iter().flat_map(steps).collect()
            }
        }
    }

    /// Rows of a graph's largest shape.
    #[must_use]
    pub fn most_rows(&self, graph: Graph) -> usize {
        let rows = match graph {
            Graph::Encoder => &self.encoder_rows,
            Graph::Sequence => &self.sequence_rows,
        };
        rows.last().copied().unwrap_or(1)
    }

    /// Steps of the longest chunk.
    #[must_use]
    pub fn most_steps(&self) -> usize {
        self.sequence_steps.last().copied().unwrap_or(1)
    }

    /// The smallest shape that holds the members.
    pub(super) fn fit(&self, graph: Graph, members: &[Member]) -> Shape {
        let items = members.iter().map(|member| member.items);
        match graph {
            Graph::Encoder => Shape {
                rows: at_least(&self.encoder_rows, items.sum()),
                steps: 1,
            },
            Graph::Sequence => Shape {
                rows: at_least(&self.sequence_rows, members.len()),
                steps: at_least(&self.sequence_steps, items.max().unwrap_or(1)),
            },
        }
    }
}

fn at_least(sizes: &[usize], wanted: usize) -> usize {
    sizes
        .iter()
        .copied()
        .find(|size| *size >= wanted)
        .unwrap_or(wanted)
}
