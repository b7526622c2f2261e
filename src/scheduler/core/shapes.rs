//! The closed set of batch shapes.
//!
//! Each batch is padded to one of these shapes, so a runtime sees no shape that it has not run at warm-up. A
//! runtime that must not run padding, as that of a recurrent bundle, splits such a batch itself.

use super::graph::Graph;

/// The size of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// N: segments of an encoder batch, chunks of a sequence batch.
    pub rows: usize,
    /// T: steps of each chunk; 1 for the encoder.
    pub steps: usize,
}

/// The sizes that batches may have. Each list is ascending and not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shapes {
    encoder_rows: Vec<usize>,
    sequence_rows: Vec<usize>,
    sequence_steps: Vec<usize>,
}

impl Default for Shapes {
    /// Returns rows in powers of two, so that padding is never more than half and the set stays small. A CPU
    /// gains nothing beyond 32 segments or 16 chunks (docs/decisions.md). Steps are multiples of eight, because
    /// their cost is more even.
    fn default() -> Self {
        Self {
            encoder_rows: vec![1, 2, 4, 8, 16, 32],
            sequence_rows: vec![1, 2, 4, 8, 16],
            sequence_steps: vec![8, 16, 24, 32],
        }
    }
}

impl Shapes {
    /// Returns every power of two up to these numbers of rows, with the default chunk lengths.
    #[must_use]
    pub fn up_to(encoder_rows: usize, sequence_rows: usize) -> Self {
        let powers = |most: usize| {
            (0..)
                .map(|n| 1 << n)
                .take_while(move |&rows| rows <= most.max(1))
        };
        Self {
            encoder_rows: powers(encoder_rows).collect(),
            sequence_rows: powers(sequence_rows).collect(),
            ..Self::default()
        }
    }

    /// Returns one shape for each graph, with the longest default chunk.
    #[must_use]
    pub fn one(encoder_rows: usize, sequence_rows: usize) -> Self {
        let steps = Self::default().most_steps();
        Self {
            encoder_rows: vec![encoder_rows],
            sequence_rows: vec![sequence_rows],
            sequence_steps: vec![steps],
        }
    }

    /// Returns every shape of a graph.
    #[must_use]
    pub fn all(&self, graph: Graph) -> Vec<Shape> {
        let steps = self.steps(graph);
        let row = |&rows| steps.iter().map(move |&steps| Shape { rows, steps });
        self.rows(graph).iter().flat_map(row).collect()
    }

    /// Returns the numbers of rows that a graph's batches have, ascending.
    #[must_use]
    pub fn rows(&self, graph: Graph) -> &[usize] {
        match graph {
            Graph::Encoder => &self.encoder_rows,
            Graph::Sequence => &self.sequence_rows,
        }
    }

    /// Returns the numbers of steps that a graph's batches have, ascending.
    #[must_use]
    pub fn steps(&self, graph: Graph) -> &[usize] {
        match graph {
            Graph::Encoder => &[1],
            Graph::Sequence => &self.sequence_steps,
        }
    }

    /// Returns the rows of a graph's largest shape.
    #[must_use]
    pub fn most_rows(&self, graph: Graph) -> usize {
        self.rows(graph).last().copied().unwrap_or(1)
    }

    /// Returns the steps of the longest chunk.
    #[must_use]
    pub fn most_steps(&self) -> usize {
        self.sequence_steps.last().copied().unwrap_or(1)
    }

    /// Returns the smallest shape with at least this many rows and steps, otherwise the largest shape.
    pub(super) fn fit(&self, graph: Graph, rows: usize, steps: usize) -> Shape {
        Shape {
            rows: at_least(self.rows(graph), rows),
            steps: at_least(self.steps(graph), steps),
        }
    }

    /// Returns the largest number of rows below this one.
    pub(super) fn below(&self, graph: Graph, rows: usize) -> Option<usize> {
        let sizes = self.rows(graph);
        sizes.iter().copied().rfind(|&size| size < rows)
    }
}

fn at_least(sizes: &[usize], wanted: usize) -> usize {
    let fit = sizes.iter().copied().find(|size| *size >= wanted);
    fit.or(sizes.last().copied()).unwrap_or(wanted)
}
