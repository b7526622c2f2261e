//! Weights that do not fit together: the error, and the checks that return it.

use crate::onnx::weights::{Array, LinearWeights};

/// Weights that do not form a valid graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// A weight's shape does not fit the adjacent weights.
    #[error("{weight} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Path of the weight from the root of the model.
        weight: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the adjacent weights require.
        expected: Vec<usize>,
    },
    /// The number of a weight's values does not fit its shape.
    #[error("{weight} has {values} values, but its shape {shape:?} needs {}", shape.iter().product::<usize>())]
    Values {
        /// Path of the weight.
        weight: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The number of its values.
        values: usize,
    },
    /// A layer does not accept its input.
    #[error("{layer}: {reason}")]
    Layer {
        /// Path of the layer.
        layer: String,
        /// The required and the actual input.
        reason: String,
    },
}

/// Checks that `array` has this shape and as many values.
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

/// Checks that `linear` maps `inputs` to `outputs`.
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
