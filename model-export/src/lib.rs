//! The trainer of undertone: from corpora to models, and from models to bundles.
//!
//! The modules in reading order:
//! - [`preset`]: every free choice of a model and of its training, as one TOML file.
//! - [`data`]: a folder of recordings to utterances with class, speaker and frames; splits into folds.
//! - [`model`]: the networks.
//! - [`train`]: batches, optimisation, runs and their checkpoints.
//! - [`evaluate`]: the test predictions of finished runs to figures with their uncertainty.
//! - [`report`]: the figures of all systems to one page with charts; the model card.
//! - [`onnx`]: trained weights to ONNX graphs.
//! - [`commands`]: the command line. `pretrain`, `train`, `evaluate` and `export` in the order of work;
//!   `ablate` and `report` compare all systems; `telephone` tests runs over a telephone line.
//! - [`atomic_file`]: files that are replaced in one step.

pub mod atomic_file;
pub mod commands;
pub mod data;
pub mod evaluate;
pub mod model;
pub mod onnx;
pub mod preset;
pub mod report;
pub mod train;

// `#[derive(RecordState)]` of burn-optim expands to paths of the crate that uses it.
pub(crate) use burn::optim::{RecordState, StateSink, StateSource};
