//! A bundle as sessions that run one batch at a time.
//!
//! [`library`] finds and loads ONNX Runtime, [`Instance`] holds one set of single-threaded sessions
//! and runs batches through them (`taps` and `recurrent` for the two forms of sequence),
//! [`Stopwatch`] tells what a run costs, [`History`] is the state of a stream between batches,
//! [`golden`] proves that the graphs compute what the trainer computed. The only room that knows
//! `ort`; knows nothing of callers, queues or audio.

pub mod golden;
mod graph;
mod history;
mod instance;
pub mod library;
mod recurrent;
mod sizes;
mod stopwatch;
mod taps;
mod values;

pub use graph::GraphError;
pub use history::History;
pub use instance::{Device, Encoded, Instance, SequenceBatch, StepBatch, StepEvidence, StopHandle};
pub use library::{Library, Provider};
pub use sizes::Sizes;
pub use stopwatch::Stopwatch;
pub use values::Values;

use crate::bundle::BundleError;

/// Why a bundle cannot be run, or a batch failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// ONNX Runtime's shared library cannot be used.
    #[error("{0}")]
    Library(#[from] library::LibraryError),
    /// The bundle lacks a file.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A graph's inputs or outputs are not the contract's.
    #[error("bundle file {file}: {source}")]
    Graph {
        /// Name of the graph's file.
        file: &'static str,
        /// What is wrong with it.
        source: GraphError,
    },
    /// ONNX Runtime refuses a graph, or what it is to run on.
    #[error("bundle file {file} is refused by ONNX Runtime: {source}{}", provider.needs())]
    Session {
        /// Name of the graph's file.
        file: &'static str,
        /// What it was to run on.
        provider: Provider,
        /// What ONNX Runtime said.
        source: ort::Error,
    },
    /// The graphs do not reproduce the golden vectors.
    #[error("bundle file golden.safetensors: {0}")]
    Golden(#[from] golden::Mismatch),
    /// A batch did not run.
    #[error("{graph} batch failed: {source}")]
    Run {
        /// Name of the graph's file.
        graph: &'static str,
        /// What ONNX Runtime said.
        source: ort::Error,
    },
    /// A graph gives another number of values than its batch asks for.
    #[error("bundle file {graph}: output `{output}` has {found} values where {expected} are due")]
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
    /// Whoever opens it does not want it any more.
    #[error("loading was stopped before the model was ready")]
    Stopped,
    /// A batch's run panicked.
    #[error("a batch's run panicked; the log has the place")]
    Panicked,
}
