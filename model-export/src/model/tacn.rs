//! The temporal attention convolutional network: x_0 … x_t to y_t, strictly causal.
//!
//! Layer n uses three taps S(t) = [x_{t−2d}, x_{t−d}, x_t], d = 2ⁿ (the paper's eq. 4). Each tap is a
//! query over the existing taps (eq. 5–7). The attended taps pass the dilated convolution (eq. 3), ReLU and
//! dropout, and are added to x_t. Taps before the start do not exist: they are masked and get no attention.
//!
//! A 3×3 attention for each step would be thousands of tiny products. Queries, keys and values are
//! therefore projected once for the sequence and shifted in time, scores are elementwise products
//! summed over each head by one matrix, and the softmax runs over whole sequences at once.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;

use super::dropout::dropout;
use crate::preset;

/// Added to the score of a tap that does not exist.
const MASKED: f32 = -1e9;

/// Layers with dilation 1, 2, 4, …
#[derive(Module, Debug)]
pub struct Tacn {
    /// Layer n is at index n.
    pub layers: Vec<TacnLayer>,
}

/// One layer.
#[derive(Module, Debug)]
pub struct TacnLayer {
    /// None makes it a plain TCN block.
    pub attention: Option<Attention>,
    /// The convolution over the taps, oldest first: [3 · C, C].
    pub taps: Param<Tensor<2>>,
    /// Its bias `[C]`.
    pub bias: Param<Tensor<1>>,
    dropout: f64,
    dilation: usize,
}

/// Multi-head self-attention over a layer's three taps.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys, values side by side: C → 3 · C.
    pub joint: Linear,
    /// W of eq. 6: joined heads to Ŝ.
    pub output: Linear,
    heads: usize,
}

impl Tacn {
    /// Creates a network with initial weights.
    pub fn new(preset: &preset::SequencePreset, device: &Device) -> Self {
        let layers = (0..preset.layers)
            .map(|n| TacnLayer::new(preset, 1 << n, device))
            .collect();
        Self { layers }
    }

    /// Returns the width C of x_t and of y_t.
    pub fn width(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.bias.dims()[0])
    }

    /// Computes y [B, T, C] from x [B, T, C]. Because the network is causal, padding at the end changes no
    /// earlier step. `random` decides what dropout drops; without it nothing is dropped.
    pub fn forward(&self, x: Tensor<3>, mut random: Option<&mut StdRng>) -> Tensor<3> {
        self.layers
            .iter()
            .fold(x, |x, layer| layer.forward(x, random.as_deref_mut()))
    }
}

impl TacnLayer {
    fn new(preset: &preset::SequencePreset, dilation: usize, device: &Device) -> Self {
        let width = preset.width;
        let attends = preset.model == preset::SequenceModel::Tacn;
        let attention = attends.then(|| Attention {
            joint: LinearConfig::new(width, 3 * width)
                .with_initializer(Initializer::XavierUniform { gain: 1.0 })
                .init(device),
            output: LinearConfig::new(width, width)
                .with_initializer(Initializer::XavierUniform { gain: 1.0 })
                .init(device),
            heads: preset.heads,
        });
        Self {
            attention,
            taps: Initializer::KaimingUniform {
                gain: 1.0,
                fan_out_only: false,
            }
            .init_with([3 * width, width], Some(3 * width), None, device),
            bias: Initializer::Zeros.init([width], device),
            dropout: preset.dropout,
            dilation,
        }
    }

    fn forward(&self, x: Tensor<3>, random: Option<&mut StdRng>) -> Tensor<3> {
        let taps = TapPositions::new(x.dims(), self.dilation, &x.device());
        let hats = match &self.attention {
            Some(attention) => attention.forward(&x, &taps),
            None => taps.of(&x),
        };
        // Oldest first. A tap that is before the start at every step is left out.
        let width = self.bias.dims()[0];
        let absent = (3 - taps.visible) * width;
        let weights = self.taps.val().narrow(0, absent, 3 * width - absent);
        let steps = Tensor::cat(hats, 2).matmul(weights.unsqueeze());
        let y = relu(steps + self.bias.val().unsqueeze());
        x + dropout(y, self.dropout, random)
    }
}

impl Attention {
    /// Computes the attended taps Ŝ, oldest first, each [B, T, C], zero where the tap does not exist.
    fn forward(&self, x: &Tensor<3>, taps: &TapPositions) -> Vec<Tensor<3>> {
        let [batch, steps, width] = x.dims();
        let joint = self.joint.forward(x.clone());
        let part = |index: usize| taps.of(&joint.clone().narrow(2, index * width, width));
        let (queries, keys, values) = (part(0), part(1), part(2));
        let heads = head_matrix(width, self.heads, &x.device());
        let scale = (width as f32 / self.heads as f32).sqrt().recip();

        let joined = queries
            .iter()
            .map(|query| {
                let scores = keys
                    .iter()
                    .zip(&taps.masks)
                    .map(|(key, mask)| {
                        let products = query.clone() * key.clone();
                        let score = products.matmul(heads.clone().unsqueeze()) * scale;
                        match mask {
                            Some(mask) => score + mask.clone().expand([batch, steps, self.heads]),
                            None => score,
                        }
                    })
                    .collect();
                let weights: Tensor<4> = softmax(Tensor::stack(scores, 0), 0);
                let weights = weights.matmul(heads.clone().transpose().unsqueeze());
                weights
                    .split(1, 0)
                    .into_iter()
                    .zip(&values)
                    .map(|(weight, value)| weight.squeeze_dim::<3>(0) * value.clone())
                    .fold(query.zeros_like(), |sum, term| sum + term)
            })
            .collect::<Vec<_>>();
        joined
            .into_iter()
            .zip(&taps.real)
            .map(|(joined, real)| {
                let hat = self.output.forward(joined);
                match real {
                    Some(real) => hat * real.clone(),
                    None => hat,
                }
            })
            .collect()
    }
}

/// The positions of a layer's taps in sequences of one length.
struct TapPositions {
    dilation: usize,
    /// How many of the three taps exist at some step; x_t always exists.
    visible: usize,
    /// For each visible tap, oldest first: what is added to its scores [1, T, 1]; none for x_t.
    masks: Vec<Option<Tensor<3>>>,
    /// For each visible tap: 1 where it exists, 0 where not [1, T, 1]; none for x_t.
    real: Vec<Option<Tensor<3>>>,
}

impl TapPositions {
    fn new([_, steps, _]: [usize; 3], dilation: usize, device: &Device) -> Self {
        let visible = 1 + usize::from(steps > dilation) + usize::from(steps > 2 * dilation);
        let lane = |f: fn(bool) -> f32, back: usize| {
            let values: Vec<f32> = (0..steps).map(|t| f(t >= back)).collect();
            Tensor::from_data(TensorData::new(values, [1, steps, 1]), device)
        };
        let back = |k: usize| (visible - 1 - k) * dilation;
        let each = |f: fn(bool) -> f32| {
            (0..visible)
                .map(|k| (back(k) > 0).then(|| lane(f, back(k))))
                .collect()
        };
        Self {
            dilation,
            visible,
            masks: each(|real| if real { 0.0 } else { MASKED }),
            real: each(|real| if real { 1.0 } else { 0.0 }),
        }
    }

    /// Returns the visible taps of a sequence [B, T, C], oldest first, zero before the start.
    fn of(&self, x: &Tensor<3>) -> Vec<Tensor<3>> {
        let [batch, steps, width] = x.dims();
        (0..self.visible)
            .map(|k| match (self.visible - 1 - k) * self.dilation {
                0 => x.clone(),
                back => {
                    let before = Tensor::zeros([batch, back, width], &x.device());
                    Tensor::cat(vec![before, x.clone().narrow(1, 0, steps - back)], 1)
                }
            })
            .collect()
    }
}

/// [C, heads]: 1 where a channel belongs to a head.
fn head_matrix(width: usize, heads: usize, device: &Device) -> Tensor<2> {
    let per_head = width / heads;
    let values: Vec<f32> = (0..width * heads)
        .map(|k| f32::from(u8::from(k / heads / per_head == k % heads)))
        .collect();
    Tensor::from_data(TensorData::new(values, [width, heads]), device)
}
