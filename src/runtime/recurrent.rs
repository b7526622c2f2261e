//! The graph of a recurrent sequence, which takes no padding.
//!
//! A state after padding would be another than the stream's. So the chunks of a batch are grouped by
//! their real length, and each group runs at that length; a batch of one length runs as it is.

use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::graph::{self, Expected};
use super::instance::TerminableRun;
use super::{Library, RuntimeError, SequenceBatch, Sizes, StepBatch, StepEvidence};
use crate::bundle::{Bundle, names};

/// What the graph gives streams to carry on.
const CARRIED: &str = "state_out";

#[derive(Debug)]
struct Graph {
    session: Session,
    options: Arc<TerminableRun>,
}

/// The graph's session, and buffers that are used again.
#[derive(Debug)]
pub(super) struct Recurrent {
    graph: Graph,
    sizes: Sizes,
    features: Vec<f32>,
    state: Vec<f32>,
}

impl Recurrent {
    pub(super) fn open(
        (library, bundle): (&Library, &Bundle),
        threads: usize,
        sizes: Sizes,
        state: usize,
        options: Arc<TerminableRun>,
    ) -> Result<Self, RuntimeError> {
        let [c, s, k] = [sizes.features, state, sizes.labels].map(|size| size as i64);
        let session = graph::open(
            (library, bundle),
            threads,
            names::SEQUENCE,
            &[
                Expected::f32("features", &[-1, -1, c]),
                Expected::f32("state", &[-1, s]),
            ],
            &[
                Expected::f32("logits", &[-1, -1, k]),
                Expected::f32("scores", &[-1, -1]),
                Expected::f32(CARRIED, &[-1, s]),
            ],
        )?;
        Ok(Self {
            graph: Graph { session, options },
            sizes,
            features: Vec::new(),
            state: Vec::new(),
        })
    }

    /// Evidence of padding is zeros.
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
        // Full chunks, and behind them rows that only fill the shape, are run where they lie.
        let full = batch.real.iter().take_while(|&&real| real == t).count();
        if full > 0 && batch.real[full..].iter().all(|&real| real == 0) {
            let (features, state) = (&batch.features[..full * t * c], &batch.history[..full * s]);
            let mut all = run(&mut self.graph, self.sizes, (full, t), features, state)?;
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
            let shape = (rows.len(), real);
            let group = run(
                &mut self.graph,
                self.sizes,
                shape,
                &self.features,
                &self.state,
            )?;
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
        let shape = (batch.valid.len(), 1);
        run(
            &mut self.graph,
            self.sizes,
            shape,
            batch.features,
            batch.history,
        )
    }
}

/// Runs N chunks of T steps, none of them padding: `features` `[N, T, C]`, `state` `[N, S]`.
fn run(
    Graph { session, options }: &mut Graph,
    sizes: Sizes,
    (n, t): (usize, usize),
    features: &[f32],
    state: &[f32],
) -> Result<StepEvidence, RuntimeError> {
    let (graph, c, s) = (names::SEQUENCE, sizes.features, sizes.history_values());
    let mut run = || {
        let inputs = ort::inputs![
            "features" => TensorRef::from_array_view(([n, t, c], features))?,
            "state" => TensorRef::from_array_view(([n, s], state))?,
        ];
        let outputs = session.run_with_options(inputs, &options.0)?;
        StepEvidence::of(outputs, CARRIED)
    };
    let found = run().map_err(|source| RuntimeError::Run { graph, source })?;
    found.checked(graph, CARRIED, (n, t), sizes)
}
