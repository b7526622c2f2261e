//! Why a bundle cannot be run, and why a batch fails.

use super::provider::Provider;
use crate::bundle::BundleError;

/// Why a bundle cannot be run, or a batch failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// ONNX Runtime's shared library cannot be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The bundle lacks a file.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A graph's inputs or outputs differ from the contract.
    #[error("bundle file {file}: {source}")]
    Graph {
        /// Name of the graph's file.
        file: &'static str,
        /// The difference.
        source: GraphError,
    },
    /// ONNX Runtime refuses a graph, or the provider that should run it.
    #[error("bundle file {file} is refused by ONNX Runtime: {source}{}", provider.requirements())]
    Session {
        /// Name of the graph's file.
        file: &'static str,
        /// The provider of the session.
        provider: Provider,
        /// ONNX Runtime's error.
        source: ort::Error,
    },
    /// The graphs do not reproduce the golden vectors.
    #[error("bundle file golden.safetensors: {0}")]
    Golden(#[from] GoldenMismatch),
    /// A batch did not run.
    #[error("{graph} batch failed: {source}")]
    Run {
        /// Name of the graph's file.
        graph: &'static str,
        /// ONNX Runtime's error.
        source: ort::Error,
    },
    /// An output has a size that does not fit the batch.
    #[error("bundle file {graph}: output `{output}` has {found} values; {expected} are expected")]
    Output {
        /// Name of the graph's file.
        graph: &'static str,
        /// The output.
        output: &'static str,
        /// How many values it has.
        found: usize,
        /// How many it must have.
        expected: usize,
    },
    /// The values of a batch do not have its shape.
    #[error("the values of a batch do not fit its shape: {0}")]
    Shape(#[from] ndarray::ShapeError),
    /// The caller stopped the loading of the model.
    #[error("loading was stopped before the model was ready")]
    Stopped,
    /// The run of a batch panicked.
    #[error("the run of a batch panicked; the log has the place")]
    Panicked,
}

/// Why ONNX Runtime's shared library cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// No place has a library that loads.
    #[error(
        "ONNX Runtime's shared library loads from none of the places searched; install ONNX Runtime \
         1.24 or newer, or set ORT_DYLIB_PATH to the file ({})",
        searched.join("; ")
    )]
    NotFound {
        /// Each place, with the reason.
        searched: Vec<String>,
    },
    /// The named file does not load.
    #[error("ONNX Runtime does not load from {path}: {reason}")]
    Load {
        /// The file.
        path: String,
        /// The loader's error.
        reason: String,
    },
}

/// How a graph's inputs and outputs differ from the contract.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum GraphError {
    /// An input or output is missing.
    #[error("has no {direction} `{name}`; it has {found}")]
    Missing {
        /// `input` or `output`.
        direction: &'static str,
        /// The name that the contract requires.
        name: &'static str,
        /// The names that the graph has.
        found: String,
    },
    /// An input or output has another type or shape.
    #[error("{direction} `{name}` is {found}, but the contract requires {expected}")]
    Shape {
        /// `input` or `output`.
        direction: &'static str,
        /// The input's or output's name.
        name: &'static str,
        /// Its type and shape.
        found: String,
        /// The required type and shape.
        expected: String,
    },
    /// The graph requires an input that the contract does not define.
    #[error("requires an input `{0}` that the contract does not define")]
    Unknown(String),
}

/// How a result differs from the golden vectors.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum GoldenMismatch {
    /// Values differ by more than the tolerance.
    #[error(
        "`{tensor}` differs from this runtime's by {difference:.1e} of the largest value; \
         {tolerance:.0e} is allowed"
    )]
    Value {
        /// The tensor, and the path that computed it.
        tensor: &'static str,
        /// Largest difference over largest golden value.
        difference: f32,
        /// The tolerance.
        tolerance: f32,
    },
    /// A graph returned another number of values.
    #[error("`{tensor}` has {found} values in this runtime, {expected} in the file")]
    Length {
        /// The tensor, and the path that computed it.
        tensor: &'static str,
        /// How many values the graph returned.
        found: usize,
        /// How many values the file has.
        expected: usize,
    },
}
