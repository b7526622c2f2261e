//! The paper's recurrent baselines: simple RNN, GRU and LSTM, in one direction or in both.
//!
//! The cells are burn's. The second direction reads each utterance from its own last step, not from
//! the padding behind it.

use burn::module::Module;
use burn::nn::gru::{Gru, GruConfig};
use burn::nn::{Lstm, LstmConfig, Rnn, RnnConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;

use super::dropout::dropout;
use crate::preset;

/// Layers of cells.
#[derive(Module, Debug)]
pub struct Recurrent {
    /// First to last; the input of each is the whole output of the one before.
    pub layers: Vec<RecurrentLayer>,
    dropout: f64,
    width: usize,
}

/// One layer.
#[derive(Module, Debug)]
pub struct RecurrentLayer {
    /// Runs from the first step on.
    pub forward: RecurrentCell,
    /// Runs from the last real step back; only in bidirectional models.
    pub backward: Option<RecurrentCell>,
}

/// A cell, which is applied at each step.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a network has few of them, and their weights are on the heap"
)]
pub enum RecurrentCell {
    /// tanh of a linear map of x_t and h_{t−1}.
    Simple(Rnn),
    /// Gated recurrent unit, reset after the product.
    Gru(Gru),
    /// Long short-term memory.
    Lstm(Lstm),
}

impl Recurrent {
    /// Creates a model with initial weights.
    pub fn new(preset: &preset::SequencePreset, device: &Device) -> Self {
        let directions = if preset.model.is_causal() { 1 } else { 2 };
        let layers = (0..preset.recurrent_layers)
            .map(|depth| {
                let inputs = preset.width * if depth == 0 { 1 } else { directions };
                let cell = || RecurrentCell::new(preset, inputs, device);
                RecurrentLayer {
                    forward: cell(),
                    backward: (directions == 2).then(cell),
                }
            })
            .collect();
        Self {
            layers,
            dropout: preset.dropout,
            width: preset.width * directions,
        }
    }

    /// Returns the width of y_t.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Computes y [B, T, [`width`](Self::width)] from x [B, T, C].
    ///
    /// Of each sequence the first `lengths[b]` steps are real; later steps change no real step. `random`
    /// decides what dropout drops; without it nothing is dropped.
    pub fn forward(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        mut random: Option<&mut StdRng>,
    ) -> Tensor<3> {
        self.layers.iter().fold(x, |x, layer| {
            let y = match &layer.backward {
                None => layer.forward.run(x),
                Some(backward) => {
                    let back = reversed(backward.run(reversed(x.clone(), lengths)), lengths);
                    Tensor::cat(vec![layer.forward.run(x), back], 2)
                }
            };
            dropout(y, self.dropout, random.as_deref_mut())
        })
    }
}

impl RecurrentCell {
    fn new(preset: &preset::SequencePreset, inputs: usize, device: &Device) -> Self {
        use preset::SequenceModel as Kind;
        match preset.model {
            Kind::Gru | Kind::Bgru => {
                Self::Gru(GruConfig::new(inputs, preset.width, true).init(device))
            }
            Kind::Lstm | Kind::Blstm => {
                Self::Lstm(LstmConfig::new(inputs, preset.width, true).init(device))
            }
            Kind::SimpleRnn | Kind::Tcn | Kind::Tacn => {
                Self::Simple(RnnConfig::new(inputs, preset.width, true).init(device))
            }
        }
    }

    /// Computes the hidden states [B, T, C] from a zero state.
    fn run(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Simple(cell) => cell.forward(x, None).0,
            Self::Gru(cell) => cell.forward(x, None),
            Self::Lstm(cell) => cell.forward(x, None).0,
        }
    }
}

/// Reverses the real steps of each sequence of [B, T, C]; padding stays at the end.
fn reversed(x: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let [batch, steps, width] = x.dims();
    let order: Vec<i64> = lengths
        .iter()
        .enumerate()
        .flat_map(|(b, &length)| {
            (0..steps).map(move |t| {
                let from = if t < length { length - 1 - t } else { t };
                (b * steps + from) as i64
            })
        })
        .collect();
    let order = Tensor::from_data(TensorData::new(order, [batch * steps]), &x.device());
    x.reshape([batch * steps, width])
        .select(0, order)
        .reshape([batch, steps, width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::preset::{Preset, SequenceModel as Kind};

    fn model(kind: Kind, layers: usize) -> Recurrent {
        let mut preset = Preset::load("default").unwrap().sequence;
        preset.model = kind;
        preset.recurrent_layers = layers;
        Recurrent::new(&preset, &Device::flex())
    }

    fn difference(a: Tensor<3>, b: Tensor<3>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn padding_behind_an_utterance_changes_none_of_its_steps() {
        for kind in [
            Kind::SimpleRnn,
            Kind::Gru,
            Kind::Bgru,
            Kind::Lstm,
            Kind::Blstm,
        ] {
            let model = model(kind, 2);
            let x = Tensor::random([2, 9, 48], Distribution::Normal(0.0, 1.0), &Device::flex());
            let alone = model.forward(x.clone().narrow(1, 0, 5), &[5, 5], None);
            let padded = model.forward(x, &[5, 9], None);
            let same = difference(
                alone.narrow(0, 0, 1),
                padded.narrow(0, 0, 1).narrow(1, 0, 5),
            );
            assert!(same < 1e-5, "{}: {same}", kind.name());
        }
    }

    #[test]
    fn a_causal_model_depends_on_no_later_step_and_a_bidirectional_one_does() {
        for kind in [
            Kind::SimpleRnn,
            Kind::Gru,
            Kind::Bgru,
            Kind::Lstm,
            Kind::Blstm,
        ] {
            let model = model(kind, 1);
            let x = Tensor::random([1, 9, 48], Distribution::Normal(0.0, 1.0), &Device::flex());
            let changed = x.clone().slice_fill([0..1, 6..7, 0..48], 3.0);
            let (before, after) = (
                model.forward(x, &[9], None),
                model.forward(changed, &[9], None),
            );
            let past = difference(before.narrow(1, 0, 6), after.narrow(1, 0, 6));
            assert_eq!(past == 0.0, kind.is_causal(), "{}: {past}", kind.name());
        }
    }
}
