//! The whole network: from segments and R_l to step evidence, and the pooling of evidence.

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;

use super::cnn::Cnn;
use super::dropout::dropout;
use super::sequence::SequenceNetwork;
use super::vqvae::VqVae;
use crate::preset::{Pooling, Preset, Representation};

/// CNN, fusion, sequence model and heads. The frozen VQ-VAE is separate.
#[derive(Module, Debug)]
pub struct Network {
    /// Segments to R_d.
    pub cnn: Cnn,
    /// Normalises R_f, so that R_d and R_l start on one scale. `export` folds it into `fusion`.
    pub norm: BatchNorm,
    dropout: f64,
    /// R_f to x_t, ReLU after it.
    pub fusion: Linear,
    /// x to y.
    pub sequence: SequenceNetwork,
    /// y_t to K logits.
    pub logits: Linear,
    /// y_t to one attention score; always zero if pooling is the mean.
    pub score: Linear,
    #[module(skip)]
    pooling: Pooling,
}

/// The output of each step.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// [B, T, K].
    pub logits: Tensor<3>,
    /// [B, T].
    pub scores: Tensor<2>,
}

impl Network {
    /// Creates a network with initial weights for this many classes.
    pub fn new(preset: &Preset, classes: usize, device: &Device) -> Self {
        let cnn = Cnn::new(&preset.cnn, device);
        let deep = cnn.linear.weight.dims()[1];
        let fused = match preset.representation {
            Representation::Deep => deep,
            Representation::Fusion => deep + VqVae::width(&preset.vqvae),
        };
        let width = preset.sequence.width;
        let sequence = SequenceNetwork::new(&preset.sequence, device);
        let output = sequence.width();
        Self {
            cnn,
            norm: BatchNormConfig::new(fused).init(device),
            dropout: preset.training.feature_dropout,
            fusion: LinearConfig::new(fused, width).init(device),
            sequence,
            logits: LinearConfig::new(output, classes).init(device),
            score: score(output, preset.training.pooling, device),
            pooling: preset.training.pooling,
        }
    }

    /// Computes R_f of each segment on one scale, from the CNN's flattened maps and R_l [N, L]: R_d alone in
    /// "deep" systems.
    pub fn fused(&self, flat: Tensor<2>, latent: Option<Tensor<2>>) -> Tensor<2> {
        let deep = self.cnn.head(flat);
        let fused = match latent {
            Some(latent) => Tensor::cat(vec![deep, latent], 1),
            None => deep,
        };
        self.norm.forward(fused)
    }

    /// Computes x of each segment [N, C]; `random` decides what dropout drops.
    pub fn features(
        &self,
        flat: Tensor<2>,
        latent: Option<Tensor<2>>,
        random: Option<&mut StdRng>,
    ) -> Tensor<2> {
        let fused = dropout(self.fused(flat, latent), self.dropout, random);
        relu(self.fusion.forward(fused))
    }

    /// Computes the evidence of sequences of x [B, T, C]; `lengths` are the numbers of real steps.
    pub fn step_evidence(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        random: Option<&mut StdRng>,
    ) -> Evidence {
        let y = self.sequence.forward(x, lengths, random);
        let scores = self.score.forward(y.clone()).squeeze_dim(2);
        Evidence {
            logits: self.logits.forward(y),
            scores: match self.pooling {
                Pooling::Attention => scores,
                // Without a gradient the scores stay zero, also in the exported graphs.
                Pooling::Mean => scores.detach(),
            },
        }
    }

    /// Computes the evidence of utterances from the maps and R_l of all their segments, one utterance after
    /// the other without padding. The evidence is padded to the longest utterance.
    pub fn evidence(
        &self,
        flat: Tensor<2>,
        latent: Option<Tensor<2>>,
        lengths: &[usize],
        mut random: Option<&mut StdRng>,
    ) -> Evidence {
        let x = self.features(flat, latent, random.as_deref_mut());
        let width = x.dims()[1];
        let x = padded(x, lengths).reshape([lengths.len() as i64, -1, width as i64]);
        self.step_evidence(x, lengths, random)
    }
}

/// Creates the layer of the scores; if pooling is the mean, its weights and output are 0.
fn score(width: usize, pooling: Pooling, device: &Device) -> Linear {
    let config = LinearConfig::new(width, 1);
    match pooling {
        Pooling::Attention => config.init(device),
        Pooling::Mean => config.with_initializer(Initializer::Zeros).init(device),
    }
}

/// Pads rows of utterances one after the other [M, C] to [B · T, C], with zeros after shorter utterances.
fn padded(rows: Tensor<2>, lengths: &[usize]) -> Tensor<2> {
    let [real, width] = rows.dims();
    let steps = lengths.iter().copied().max().unwrap_or(0);
    if real == steps * lengths.len() {
        return rows;
    }
    let mut indices = Vec::with_capacity(steps * lengths.len());
    let mut first = 0;
    for &length in lengths {
        indices.extend((0..steps).map(|t| if t < length { first + t } else { real } as i64));
        first += length;
    }
    let device = rows.device();
    let zeros = Tensor::zeros([1, width], &device);
    let count = indices.len();
    let indices = Tensor::from_data(TensorData::new(indices, [count]), &device);
    Tensor::cat(vec![rows, zeros], 0).select(0, indices)
}

impl Evidence {
    /// Computes the logits of whole utterances [B, K]: means over their real steps, weighted by the softmax of
    /// the scores.
    pub fn pooled(&self, lengths: &[usize]) -> Tensor<2> {
        let [batch, steps, classes] = self.logits.dims();
        let mask = real(lengths, steps, &self.scores.device());
        // 0 for real steps, −1e9 for padding.
        let scores = self.scores.clone() + (mask - 1.0) * 1e9;
        let weights = softmax(scores, 1).reshape([batch, steps, 1]);
        (self.logits.clone() * weights)
            .sum_dim(1)
            .reshape([batch, classes])
    }
}

/// Returns 1 for real steps and 0 for padding: [B, T].
pub fn real(lengths: &[usize], steps: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = lengths
        .iter()
        .flat_map(|&length| (0..steps).map(move |t| f32::from(u8::from(t < length))))
        .collect();
    Tensor::from_data(TensorData::new(values, [lengths.len(), steps]), device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    fn deep() -> Preset {
        let mut preset = Preset::load("default").unwrap();
        preset.representation = Representation::Deep;
        preset
    }

    #[test]
    fn a_change_at_a_step_changes_nothing_before_it() {
        let device = Device::flex();
        let network = Network::new(&deep(), 4, &device);
        let x = Tensor::<3>::random([2, 40, 48], Distribution::Normal(0.0, 1.0), &device);
        let before = network.step_evidence(x.clone(), &[40; 2], None);
        for t in [0, 1, 7, 39] {
            let changed = x.clone().slice_fill([0..2, t..t + 1, 0..48], 3.0);
            let after = network.step_evidence(changed, &[40; 2], None);
            let difference = (after.logits - before.logits.clone()).abs();
            let past: f32 = match t {
                0 => 0.0,
                t => difference.clone().narrow(1, 0, t).max().into_scalar(),
            };
            let here: f32 = difference.narrow(1, t, 1).max().into_scalar();
            assert_eq!(past, 0.0, "step {t} reaches back");
            assert!(here > 0.0, "step {t} has no influence");
        }
    }

    #[test]
    fn padding_behind_the_end_changes_no_pooled_logit() {
        let device = Device::flex();
        let network = Network::new(&deep(), 4, &device);
        let x = Tensor::<3>::random([1, 30, 48], Distribution::Normal(0.0, 1.0), &device);
        let short = network
            .step_evidence(x.clone().narrow(1, 0, 17), &[17], None)
            .pooled(&[17]);
        let padded = network.step_evidence(x, &[17], None).pooled(&[17]);
        let difference: f32 = (short - padded).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }
}
