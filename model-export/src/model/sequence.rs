//! What all sequence models have in common: x_0 … x_T in, y_0 … y_T out.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;

use super::recurrent::Recurrent;
use super::tacn::Tacn;
use crate::preset;

/// A model of sequences.
pub trait SequenceModel {
    /// x [B, T, C] to y [B, T, [`Sequence::width`]]. Of each sequence the first `lengths[b]` steps
    /// are real; what stands behind them changes no real step. `random` decides what training
    /// drops; without it nothing is dropped.
    fn forward(&self, x: Tensor<3>, lengths: &[usize], random: Option<&mut StdRng>) -> Tensor<3>;
}

/// Any of the sequence models.
#[derive(Module, Debug)]
pub enum Sequence {
    /// TACN and TCN: three taps a layer.
    Taps(Tacn),
    /// Simple RNN, GRU, LSTM, in one direction or both.
    Recurrent(Recurrent),
}

impl Sequence {
    /// A model with fresh weights.
    pub fn new(preset: &preset::Sequence, device: &Device) -> Self {
        match preset.model {
            preset::SequenceModel::Tcn | preset::SequenceModel::Tacn => {
                Self::Taps(Tacn::new(preset, device))
            }
            _ => Self::Recurrent(Recurrent::new(preset, device)),
        }
    }

    /// Width of y_t.
    pub fn width(&self) -> usize {
        match self {
            Self::Taps(taps) => taps.width(),
            Self::Recurrent(recurrent) => recurrent.width(),
        }
    }
}

impl SequenceModel for Sequence {
    fn forward(&self, x: Tensor<3>, lengths: &[usize], random: Option<&mut StdRng>) -> Tensor<3> {
        match self {
            Self::Taps(taps) => taps.forward(x, lengths, random),
            Self::Recurrent(recurrent) => recurrent.forward(x, lengths, random),
        }
    }
}
