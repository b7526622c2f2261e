//! Minibatches: utterances of different length, side by side.
//!
//! [`Sampler`] makes a [`Batch`] from raw frames, with `mixup` and `copy_paste` if the preset asks for them.
//! Nothing here depends on models.

mod copy_paste;
mod minibatch;
mod mixup;
mod sampler;
#[cfg(test)]
mod tests;

pub use minibatch::{Batch, UNLABELLED};
pub use sampler::{Sampler, SamplerOptions};
