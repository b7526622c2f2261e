//! Reads the outputs of a graph, and checks their lengths.

use ort::session::SessionOutputs;

use super::device::StepEvidence;
use super::error::RuntimeError;
use super::sizes::Sizes;
use super::values::Values;

/// Reads a sequence graph's outputs. `carried` names the output that a stream keeps for its next chunk.
pub(super) fn step_evidence(
    mut outputs: SessionOutputs<'_>,
    carried: &str,
) -> ort::Result<StepEvidence> {
    let carried = outputs.remove(carried);
    let carried = carried.ok_or_else(|| ort::Error::new("the graph returned no stream state"))?;
    Ok(StepEvidence {
        logits: outputs["logits"].try_extract_tensor::<f32>()?.1.to_vec(),
        scores: outputs["scores"].try_extract_tensor::<f32>()?.1.to_vec(),
        carried: Values::of(carried)?,
    })
}

/// A sequence graph's run of N chunks of T steps, for the check of its outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct SequenceRun {
    pub(super) graph: &'static str,
    /// Name of the output that a stream keeps.
    pub(super) carried: &'static str,
    pub(super) chunks: usize,
    pub(super) steps: usize,
}

impl SequenceRun {
    /// Checks the outputs' lengths against the inputs, because a graph may leave its dimensions open.
    pub(super) fn check(
        self,
        found: StepEvidence,
        sizes: Sizes,
    ) -> Result<StepEvidence, RuntimeError> {
        let Self {
            graph,
            carried,
            chunks: n,
            steps: t,
        } = self;
        check_length(graph, "logits", found.logits.len(), n * t * sizes.labels)?;
        check_length(graph, "scores", found.scores.len(), n * t)?;
        check_length(graph, carried, found.carried.len(), n * sizes.carried(t))?;
        Ok(found)
    }
}

/// Checks the number of values in an output.
pub(super) fn check_length(
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
