//! The graph of a recurrent sequence, which must not see padding.
//!
//! Padding would change the state of a stream. So the chunks of a batch are grouped by their real
//! length, and each group runs at that length. A batch of equal lengths runs without a copy.

use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::device::{SequenceBatch, StepBatch, StepEvidence};
use super::error::RuntimeError;
use super::graph::{GraphLoader, TensorContract};
use super::outputs::{SequenceRun, step_evidence};
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
        let (n, t) = (batch.real.len(), batch.steps);
        let Sizes {
            features: c,
            labels: k,
            ..
        } = self.sizes;
        let s = self.sizes.history_values();
        // Full chunks run without a copy, if only rows without any step follow them.
        let full = batch.real.iter().take_while(|&&real| real == t).count();
        if full > 0 && batch.real[full..].iter().all(|&real| real == 0) {
            let (features, state) = (&batch.features[..full * t * c], &batch.history[..full * s]);
            let mut all = self.graph.run(full, t, features, state)?;
            all.logits.resize(n * t * k, 0.0);
            all.scores.resize(n * t, 0.0);
            if full < n {
                let mut carried = all.carried.into_vec();
                carried.resize(n * s, 0.0);
                all.carried = carried.into();
            }
            return Ok(all);
        }
        let mut carried = vec![0.0; n * s];
        let mut all = StepEvidence {
            logits: vec![0.0; n * t * k],
            scores: vec![0.0; n * t],
            carried: Vec::new().into(),
        };
        let mut lengths = batch.real.to_vec();
        lengths.sort_unstable();
        lengths.dedup();
        for real in lengths.into_iter().filter(|&real| real > 0) {
            let rows: Vec<usize> = (0..n).filter(|&row| batch.real[row] == real).collect();
            self.features.clear();
            self.state.clear();
            for row in &rows {
                self.features
                    .extend_from_slice(&batch.features[row * t * c..][..real * c]);
                self.state.extend_from_slice(&batch.history[row * s..][..s]);
            }
            let group = self
                .graph
                .run(rows.len(), real, &self.features, &self.state)?;
            for (member, row) in rows.into_iter().enumerate() {
                all.logits[row * t * k..][..real * k]
                    .copy_from_slice(&group.logits[member * real * k..][..real * k]);
                all.scores[row * t..][..real]
                    .copy_from_slice(&group.scores[member * real..][..real]);
                carried[row * s..][..s].copy_from_slice(&group.carried[member * s..][..s]);
            }
        }
        all.carried = carried.into();
        Ok(all)
    }

    pub(super) fn step(&mut self, batch: StepBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        self.graph
            .run(batch.valid.len(), 1, batch.features, batch.history)
    }
}

impl RecurrentSession {
    /// Runs N chunks of T steps without padding: `features` `[N, T, C]`, `state` `[N, S]`.
    fn run(
        &mut self,
        n: usize,
        t: usize,
        features: &[f32],
        state: &[f32],
    ) -> Result<StepEvidence, RuntimeError> {
        let Self {
            session,
            sizes,
            options,
        } = self;
        let (graph, c, s) = (names::SEQUENCE, sizes.features, sizes.history_values());
        let mut run = || {
            let inputs = ort::inputs![
                "features" => TensorRef::from_array_view(([n, t, c], features))?,
                "state" => TensorRef::from_array_view(([n, s], state))?,
            ];
            let outputs = session.run_with_options(inputs, &options.0)?;
            step_evidence(outputs, CARRIED)
        };
        let found = run().map_err(|source| RuntimeError::Run { graph, source })?;
        let run = SequenceRun {
            graph,
            carried: CARRIED,
            chunks: n,
            steps: t,
        };
        run.check(found, *sizes)
    }
}
