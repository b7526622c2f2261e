//! The graph of a recurrent sequence, which must not see padding.
//!
//! Padding would change the state of a stream. So the chunks of a batch are grouped by their real
//! length, and each group runs at that length. A batch of equal lengths runs without a copy.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use ort::session::Session;
use ort::value::TensorRef;

use super::device::{SequenceBatch, StepBatch, StepEvidence};
use super::error::RuntimeError;
use super::graph::{GraphLoader, TensorContract};
use super::outputs::SequenceRun;
use super::sizes::Sizes;
use super::terminable_run::TerminableRun;
use crate::bundle::names;

/// The output that a stream keeps for its next chunk.
const CARRIED: &str = "state_out";

/// The graph's session.
#[derive(Debug)]
struct RecurrentSession {
    session: Session,
    sizes: Sizes,
    options: Arc<TerminableRun>,
}

/// The graph's session, and buffers that every batch uses again.
#[derive(Debug)]
pub(super) struct Recurrent {
    graph: RecurrentSession,
    sizes: Sizes,
    features: Vec<f32>,
    state: Vec<f32>,
}

impl Recurrent {
    pub(super) fn open(
        graphs: GraphLoader<'_>,
        sizes: Sizes,
        options: Arc<TerminableRun>,
    ) -> Result<Self, RuntimeError> {
        let [c, s, k] =
            [sizes.features, sizes.history_values(), sizes.labels].map(|size| size as i64);
        let session = graphs.open(
            names::SEQUENCE,
            &[
                TensorContract::f32("features", &[-1, -1, c]),
                TensorContract::f32("state", &[-1, s]),
            ],
            &[
                TensorContract::f32("logits", &[-1, -1, k]),
                TensorContract::f32("scores", &[-1, -1]),
                TensorContract::f32(CARRIED, &[-1, s]),
            ],
        )?;
        Ok(Self {
            graph: RecurrentSession {
                session,
                sizes,
                options,
            },
            sizes,
            features: Vec::new(),
            state: Vec::new(),
        })
    }

    /// Runs N chunks. The evidence of padding is zeros.
    pub(super) fn sequence(
        &mut self,
        batch: SequenceBatch<'_>,
    ) -> Result<StepEvidence, RuntimeError> {
        let (n, t, c) = batch.features.dim();
        let (s, k) = (self.sizes.history_values(), self.sizes.labels);
        // Full chunks run without a copy of their inputs, if only rows without any step follow them.
        let full = batch.real.iter().take_while(|&&real| real == t).count();
        if full > 0 && batch.real[full..].iter().all(|&real| real == 0) {
            let features = batch.features.slice_move(s![..full, .., ..]);
            let state = batch.history.slice_move(s![..full, ..]);
            let run = self.graph.run(&features, &state)?;
            if full == n {
                return Ok(run);
            }
            let (mut logits, mut scores) = (Array3::zeros((n, t, k)), Array2::zeros((n, t)));
            let mut carried = vec![0.0; n * s];
            logits.slice_mut(s![..full, .., ..]).assign(&run.logits);
            scores.slice_mut(s![..full, ..]).assign(&run.scores);
            carried[..full * s].copy_from_slice(&run.carried);
            return Ok(StepEvidence {
                logits,
                scores,
                carried: carried.into(),
            });
        }
        let (mut logits, mut scores) = (Array3::zeros((n, t, k)), Array2::zeros((n, t)));
        let mut carried = vec![0.0; n * s];
        let mut lengths = batch.real.to_vec();
        lengths.sort_unstable();
        lengths.dedup();
        for real in lengths.into_iter().filter(|&real| real > 0) {
            let rows: Vec<usize> = (0..n).filter(|&row| batch.real[row] == real).collect();
            self.features.clear();
            self.state.clear();
            for &row in &rows {
                self.features
                    .extend(batch.features.slice(s![row, ..real, ..]));
                self.state.extend(batch.history.row(row));
            }
            let features = ArrayView3::from_shape((rows.len(), real, c), &self.features)?;
            let state = ArrayView2::from_shape((rows.len(), s), &self.state)?;
            let group = self.graph.run(&features, &state)?;
            for (member, row) in rows.into_iter().enumerate() {
                logits
                    .slice_mut(s![row, ..real, ..])
                    .assign(&group.logits.index_axis(Axis(0), member));
                scores
                    .slice_mut(s![row, ..real])
                    .assign(&group.scores.row(member));
                carried[row * s..][..s].copy_from_slice(&group.carried[member * s..][..s]);
            }
        }
        Ok(StepEvidence {
            logits,
            scores,
            carried: carried.into(),
        })
    }

    pub(super) fn step(&mut self, batch: StepBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        self.graph
            .run(&batch.features.insert_axis(Axis(1)), &batch.history)
    }
}

impl RecurrentSession {
    /// Runs N chunks of T steps without padding: `features` `[N, T, C]`, `state` `[N, S]`.
    fn run(
        &mut self,
        features: &ArrayView3<'_, f32>,
        state: &ArrayView2<'_, f32>,
    ) -> Result<StepEvidence, RuntimeError> {
        let graph = names::SEQUENCE;
        let failed = |source| RuntimeError::Run { graph, source };
        let (n, t, _) = features.dim();
        let inputs = ort::inputs![
            "features" => TensorRef::from_array_view(features.view()).map_err(failed)?,
            "state" => TensorRef::from_array_view(state.view()).map_err(failed)?,
        ];
        let outputs = self
            .session
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
}
