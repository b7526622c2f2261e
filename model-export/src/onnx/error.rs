//! Weights that do not fit together: the error, and the checks that return it.

use crate::onnx::weights::{Array, LinearWeights};

/// Weights from which no graph can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// A weight does not fit its neighbours.
    #[error("{weight} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Which one, as a path from the root of the model.
        weight: String,
        /// Its shape.
        found: Vec<usize>,
        /// What its neighbours ask for.
        expected: Vec<usize>,
    },
    /// A weight holds more or fewer values than its shape says.
    #[error("{weight} holds {values} values, its shape {shape:?} asks for {}", shape.iter().product::<usize>())]
    Values {
        /// Which one.
        weight: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its values.
        values: usize,
    },
    /// A layer cannot take what comes before it.
    #[error("{layer}: {reason}")]
    Layer {
        /// Which one.
        layer: String,
        /// What it asks for and what it got.
        reason: String,
    },
}

/// `array` has this shape and as many values.
pub(super) fn check(weight: &str, array: &Array, expected: &[usize]) -> Result<(), OnnxError> {
    check_shape(weight, &array.shape, expected)?;
    if array.data.len() != expected.iter().product::<usize>() {
        return Err(OnnxError::Values {
            weight: weight.into(),
            shape: array.shape.clone(),
            values: array.data.len(),
        });
    }
    Ok(())
}

pub(super) fn check_shape(
    weight: &str,
    found: &[usize],
    expected: &[usize],
) -> Result<(), OnnxError> {
    if found == expected {
        return Ok(());
    }
    Err(OnnxError::Shape {
        weight: weight.into(),
        found: found.into(),
        expected: expected.into(),
    })
}

/// `linear` takes `inputs` to `outputs`.
pub(super) fn check_linear(
    name: &str,
    linear: &LinearWeights,
    inputs: usize,
    outputs: usize,
) -> Result<(), OnnxError> {
    check(
        &format!("{name}.weight"),
        &linear.weight,
        &[inputs, outputs],
    )?;
    check_shape(&format!("{name}.bias"), &[linear.bias.len()], &[outputs])
}
