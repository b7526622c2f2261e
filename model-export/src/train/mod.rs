//! Training: batches, single steps, whole runs, and what they leave on disk.
//!
//! - [`batch`] makes minibatches; [`augment`] varies their frames.
//! - [`autoencoder`] takes the VQ-VAE's training steps; [`finetuning`] adapts it to a fold.
//! - [`trainer`] takes the other training steps, with [`adadelta`] and the [`averaging`] of the weights.
//!   [`codes`] stores the VQ-VAE's output for a run's batches. [`prediction`] is the result for one utterance.
//! - [`fit`] is a whole run; [`stopping`] may end it early. [`run`] is its folder, [`checkpoint`] its state after
//!   an epoch, [`progress`] its progress bar.

pub mod adadelta;
pub mod augment;
pub mod autoencoder;
pub mod averaging;
pub mod batch;
pub mod checkpoint;
pub mod codes;
pub mod finetuning;
pub mod fit;
pub mod prediction;
pub mod progress;
pub mod run;
pub mod stopping;
pub mod trainer;
