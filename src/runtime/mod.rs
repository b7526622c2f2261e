//! A bundle as sessions that run one batch at a time.
//!
//! [`library`] finds and loads ONNX Runtime. An [`Instance`] is one set of sessions: it opens the
//! graphs of a bundle (`graph`) and runs batches ([`Device`]); `taps` and `recurrent` are the two forms
//! of the sequence. [`Stopwatch`] measures the cost of a run, [`History`] is the state of a stream
//! between batches, and [`golden`] checks that the graphs compute what the trainer computed. This is
//! the only module that uses `ort`. It does not depend on callers, queues or audio.

mod device;
mod error;
pub mod golden;
mod graph;
mod history;
mod instance;
pub mod library;
mod outputs;
mod provider;
mod recurrent;
mod sizes;
mod stopwatch;
mod taps;
mod terminable_run;
mod values;

pub use device::{
    Device, Encoded, SequenceBatch, StepBatch, StepEvidence, StopHandle, segments_view,
};
pub use error::{GoldenMismatch, GraphError, LibraryError, RuntimeError};
pub use history::History;
pub use instance::Instance;
pub use library::Library;
pub use provider::Provider;
pub use sizes::Sizes;
pub use stopwatch::Stopwatch;
pub use values::Values;
