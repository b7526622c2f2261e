//! Reads the outputs of a graph as arrays of the shape that a batch requires.
//!
//! A graph may leave its dimensions open, so each output's size is checked against the batch.

use ndarray::{Array, IntoDimension};
use ort::session::SessionOutputs;
use ort::value::PrimitiveTensorElementType;

use super::device::StepEvidence;
use super::error::RuntimeError;
use super::sizes::Sizes;
use super::values::Values;

/// Copies an output into an array of this shape.
pub(super) fn read<T, S>(
    outputs: &SessionOutputs<'_>,
    graph: &'static str,
    output: &'static str,
    shape: S,
) -> Result<Array<T, S::Dim>, RuntimeError>
where
    T: PrimitiveTensorElementType + Clone,
    S: IntoDimension,
{
    let (_, values) = outputs[output]
        .try_extract_tensor::<T>()
        .map_err(|source| RuntimeError::Run { graph, source })?;
    let shape = shape.into_dimension();
    check_size(
        graph,
        output,
        values.len(),
        ndarray::Dimension::size(&shape),
    )?;
    Ok(Array::from_shape_vec(shape, values.to_vec())?)
}

/// A sequence graph's run of N chunks of T steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct SequenceRun {
    pub(super) graph: &'static str,
    /// Name of the output that a stream keeps for its next chunk.
    pub(super) carried: &'static str,
    pub(super) chunks: usize,
    pub(super) steps: usize,
}

impl SequenceRun {
    /// Reads the graph's outputs.
    pub(super) fn read(
        self,
        mut outputs: SessionOutputs<'_>,
        sizes: Sizes,
    ) -> Result<StepEvidence, RuntimeError> {
        let Self {
            graph,
            carried: name,
            chunks: n,
            steps: t,
        } = self;
        let failed = |source| RuntimeError::Run { graph, source };
        let carried = outputs
            .remove(name)
            .ok_or_else(|| failed(ort::Error::new("the graph returned no stream state")))?;
        let carried = Values::of(carried).map_err(failed)?;
        check_size(graph, name, carried.len(), n * sizes.carried(t))?;
        Ok(StepEvidence {
            logits: read(&outputs, graph, "logits", (n, t, sizes.labels))?,
            scores: read(&outputs, graph, "scores", (n, t))?,
            carried,
        })
    }
}

fn check_size(
    graph: &'static str,
    output: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), RuntimeError> {
    if found == expected {
        return Ok(());
    }
    Err(RuntimeError::Output {
        graph,
        output,
        found,
        expected,
    })
}
