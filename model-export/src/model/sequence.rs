//! Any sequence model: from x_0 … x_T to y_0 … y_T.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;

use super::recurrent::Recurrent;
use super::tacn::Tacn;
use crate::preset::{self, SequenceModel};

/// A sequence model.
#[derive(Module, Debug)]
pub enum SequenceNetwork {
    /// TACN and TCN: three taps a layer.
    Taps(Tacn),
    /// Simple RNN, GRU, LSTM, in one direction or both.
    Recurrent(Recurrent),
}

impl SequenceNetwork {
    /// Creates a model with initial weights.
    pub fn new(preset: &preset::SequencePreset, device: &Device) -> Self {
        match preset.model {
            SequenceModel::Tcn | SequenceModel::Tacn => Self::Taps(Tacn::new(preset, device)),
            _ => Self::Recurrent(Recurrent::new(preset, device)),
        }
    }

    /// Returns the width of y_t.
    pub fn width(&self) -> usize {
        match self {
            Self::Taps(taps) => taps.width(),
            Self::Recurrent(recurrent) => recurrent.width(),
        }
    }

    /// Computes y [B, T, [`width`](Self::width)] from x [B, T, C].
    ///
    /// Of each sequence the first `lengths[b]` steps are real; later steps change no real step. `random`
    /// decides what dropout drops; without it nothing is dropped.
    pub fn forward(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        random: Option<&mut StdRng>,
    ) -> Tensor<3> {
        match self {
            Self::Taps(taps) => taps.forward(x, random),
            Self::Recurrent(recurrent) => recurrent.forward(x, lengths, random),
        }
    }
}
