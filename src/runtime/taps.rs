//! The two graphs of a sequence with taps: one for chunks, one for a single live step.
//!
//! The sequence is causal, so padding at the end of a chunk changes nothing before it. Chunks of
//! different length therefore share a run.

use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::device::{SequenceBatch, StepBatch, StepEvidence};
use super::error::RuntimeError;
use super::graph::{GraphLoader, TensorContract};
use super::outputs::SequenceRun;
use super::sizes::Sizes;
use super::terminable_run::TerminableRun;
use crate::bundle::names;

/// The output of both graphs that a stream keeps for its next chunk or step.
const CARRIED: &str = "layers";

/// Sessions of both graphs.
#[derive(Debug)]
pub(super) struct Taps {
    chunks: Session,
    step: Session,
    sizes: Sizes,
    options: Arc<TerminableRun>,
}

impl Taps {
    pub(super) fn open(
        graphs: GraphLoader<'_>,
        sizes: Sizes,
        options: Arc<TerminableRun>,
    ) -> Result<Self, RuntimeError> {
        let [c, l, h, k] = [
            sizes.features,
            sizes.layers(),
            sizes.history_steps(),
            sizes.labels,
        ]
        .map(|size| size as i64);
        Ok(Self {
            chunks: graphs.open(
                names::SEQUENCE,
                &[
                    TensorContract::f32("features", &[-1, -1, c]),
                    TensorContract::f32("history", &[-1, h, c]),
                    TensorContract::i64("valid", &[-1]),
                ],
                &[
                    TensorContract::f32("logits", &[-1, -1, k]),
                    TensorContract::f32("scores", &[-1, -1]),
                    TensorContract::f32(CARRIED, &[-1, l, -1, c]),
                ],
            )?,
            step: graphs.open(
                names::STEP,
                &[
                    TensorContract::f32("features", &[-1, c]),
                    TensorContract::f32("taps", &[-1, l, 2, c]),
                    TensorContract::i64("valid", &[-1]),
                ],
                &[
                    TensorContract::f32("logits", &[-1, k]),
                    TensorContract::f32("scores", &[-1]),
                    TensorContract::f32(CARRIED, &[-1, l, c]),
                ],
            )?,
            sizes,
            options,
        })
    }

    pub(super) fn sequence(
        &mut self,
        batch: SequenceBatch<'_>,
    ) -> Result<StepEvidence, RuntimeError> {
        let graph = names::SEQUENCE;
        let failed = |source| RuntimeError::Run { graph, source };
        let (n, t, c) = batch.features.dim();
        let history = batch
            .history
            .into_shape_with_order((n, self.sizes.history_steps(), c))?;
        let inputs = ort::inputs![
            "features" => TensorRef::from_array_view(batch.features).map_err(failed)?,
            "history" => TensorRef::from_array_view(history).map_err(failed)?,
            "valid" => TensorRef::from_array_view(batch.valid).map_err(failed)?,
        ];
        let outputs = self
            .chunks
            .run_with_options(inputs, &self.options.0)
            .map_err(failed)?;
        let run = SequenceRun {
            graph,
            carried: CARRIED,
            chunks: n,
            steps: t,
        };
        run.read(outputs, self.sizes)
    }

    pub(super) fn step(&mut self, batch: StepBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        let graph = names::STEP;
        let failed = |source| RuntimeError::Run { graph, source };
        let (n, c) = batch.features.dim();
        let taps = batch
            .history
            .into_shape_with_order((n, self.sizes.layers(), 2, c))?;
        let inputs = ort::inputs![
            "features" => TensorRef::from_array_view(batch.features).map_err(failed)?,
            "taps" => TensorRef::from_array_view(taps).map_err(failed)?,
            "valid" => TensorRef::from_array_view(batch.valid).map_err(failed)?,
        ];
        let outputs = self
            .step
            .run_with_options(inputs, &self.options.0)
            .map_err(failed)?;
        let run = SequenceRun {
            graph,
            carried: CARRIED,
            chunks: n,
            steps: 1,
        };
        run.read(outputs, self.sizes)
    }
}
