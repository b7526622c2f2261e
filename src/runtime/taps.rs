//! The graphs of a sequence that sees taps: chunks, and one live step.
//!
//! It is causal, so padding at the end of a chunk changes nothing before it, and chunks of different
//! length share a run.

use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::graph::{self, Expected};
use super::instance::TerminableRun;
use super::{Library, RuntimeError, SequenceBatch, Sizes, StepBatch, StepEvidence};
use crate::bundle::{Bundle, names};

/// What both graphs give streams to carry on.
const CARRIED: &str = "layers";

/// Both graphs' sessions.
#[derive(Debug)]
pub(super) struct Taps {
    chunks: Session,
    step: Session,
    sizes: Sizes,
    /// L.
    layers: usize,
    /// H.
    history: usize,
    options: Arc<TerminableRun>,
}

impl Taps {
    pub(super) fn open(
        (library, bundle): (&Library, &Bundle),
        threads: usize,
        sizes: Sizes,
        (layers, history): (usize, usize),
        options: Arc<TerminableRun>,
    ) -> Result<Self, RuntimeError> {
        let [c, l, h, k] = [sizes.features, layers, history, sizes.labels].map(|size| size as i64);
        Ok(Self {
            chunks: graph::open(
                (library, bundle),
                threads,
                names::SEQUENCE,
                &[
                    Expected::f32("features", &[-1, -1, c]),
                    Expected::f32("history", &[-1, h, c]),
                    Expected::i64("valid", &[-1]),
                ],
                &[
                    Expected::f32("logits", &[-1, -1, k]),
                    Expected::f32("scores", &[-1, -1]),
                    Expected::f32(CARRIED, &[-1, l, -1, c]),
                ],
            )?,
            step: graph::open(
                (library, bundle),
                threads,
                names::STEP,
                &[
                    Expected::f32("features", &[-1, c]),
                    Expected::f32("taps", &[-1, l, 2, c]),
                    Expected::i64("valid", &[-1]),
                ],
                &[
                    Expected::f32("logits", &[-1, k]),
                    Expected::f32("scores", &[-1]),
                    Expected::f32(CARRIED, &[-1, l, c]),
                ],
            )?,
            sizes,
            layers,
            history,
            options,
        })
    }

    pub(super) fn sequence(
        &mut self,
        batch: SequenceBatch<'_>,
    ) -> Result<StepEvidence, RuntimeError> {
        let (graph, c, h) = (names::SEQUENCE, self.sizes.features, self.history);
        let (n, t) = (batch.valid.len(), batch.steps);
        let mut run = || {
            let inputs = ort::inputs![
                "features" => TensorRef::from_array_view(([n, t, c], batch.features))?,
                "history" => TensorRef::from_array_view(([n, h, c], batch.history))?,
                "valid" => TensorRef::from_array_view(([n], batch.valid))?,
            ];
            let outputs = self.chunks.run_with_options(inputs, &self.options.0)?;
            StepEvidence::of(outputs, CARRIED)
        };
        let found = run().map_err(|source| RuntimeError::Run { graph, source })?;
        found.checked(graph, CARRIED, (n, t), self.sizes)
    }

    pub(super) fn step(&mut self, batch: StepBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        let (graph, c, l) = (names::STEP, self.sizes.features, self.layers);
        let n = batch.valid.len();
        let mut run = || {
            let inputs = ort::inputs![
                "features" => TensorRef::from_array_view(([n, c], batch.features))?,
                "taps" => TensorRef::from_array_view(([n, l, 2, c], batch.history))?,
                "valid" => TensorRef::from_array_view(([n], batch.valid))?,
            ];
            let outputs = self.step.run_with_options(inputs, &self.options.0)?;
            StepEvidence::of(outputs, CARRIED)
        };
        let found = run().map_err(|source| RuntimeError::Run { graph, source })?;
        found.checked(graph, CARRIED, (n, 1), self.sizes)
    }
}
