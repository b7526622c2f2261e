//! The trainer of undertone: corpora to models, models to bundles.
//!
//! The way of the data, once, forward:
//! - [`corpus`]: a folder to recordings with speaker and emotion. [`labels`]: emotions to classes.
//!   [`split`]: utterances to folds. [`features`]: utterances to frames, by the server's own front
//!   end, over a [`mod@line`] if one is to be tested. [`dataset`] is all of it for a command line.
//! - [`batch`]: frames to segments: cropped, balanced, put through [`augment`]; a function of (seed,
//!   epoch, step).
//! - [`preset`]: every free choice of a run, as one TOML file.
//! - [`model`]: the networks, on the device that [`backend`] names. [`autoencoder`] fits the VQ-VAE,
//!   [`trainer`] takes the steps of the rest, with [`adadelta`] and the [`average`] of the weights;
//!   [`fit`] is a whole run of it, which [`stopping`] may end early. [`codes`]: what a frozen VQ-VAE
//!   says of a run's batches, computed once.
//! - [`run`] and [`checkpoint`]: what a run leaves on disk, and how it goes on after a crash.
//! - [`tested`]: what finished runs said of their test speakers. [`metrics`] and [`figures`]: judgements
//!   to figures with their uncertainty.
//! - [`systems`]: the fourteen that the paper compares. [`report`]: their runs to one page.
//! - [`weights`]: a trained model without its framework, which [`extract`] takes out and [`onnx`]
//!   writes graphs from. [`card`] is what a person reads of it.
//! - [`pretrain`], [`train`], [`evaluate`], [`export`]: the commands, in the order of work; [`ablate`]
//!   trains and compares all systems, [`telephone`] tests folds again over a telephone line.

pub mod ablate;
pub mod adadelta;
pub mod augment;
pub mod autoencoder;
pub mod average;
pub mod backend;
pub mod batch;
pub mod card;
pub mod checkpoint;
pub mod codes;
pub mod corpus;
pub mod dataset;
pub mod evaluate;
pub mod export;
pub mod extract;
pub mod features;
pub mod figures;
pub mod fit;
pub mod labels;
pub mod line;
pub mod metrics;
pub mod model;
pub mod onnx;
pub mod preset;
pub mod pretrain;
pub mod progress;
pub mod report;
pub mod run;
pub mod split;
pub mod stopping;
pub mod systems;
pub mod telephone;
pub mod tested;
pub mod train;
pub mod trainer;
pub mod weights;

// `#[derive(RecordState)]` of burn-optim expands to paths of the crate it stands in.
pub(crate) use burn::optim::{RecordState, StateSink, StateSource};
