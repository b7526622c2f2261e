//! The deep representation R_d: from segments [N, 1, 32, 129] to [N, features].

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use undertone::frontend::{BINS, SEGMENT_FRAMES};

use super::convolution::{Kernel, Maps, Taken};
use super::normalisation::{Norm, Normed};
use super::{convolution, output_size, values};
use crate::model::backend::BY_HAND;
use crate::preset;

/// Convolutions in a row, then one batch normalisation, ReLU and optionally a pool.
///
/// A block has one normalisation, after the pointwise convolution, so that `export` can fold it.
#[derive(Module, Debug)]
pub struct Stage {
    /// Without bias: the normalisation has one.
    pub convolutions: Vec<Conv2d>,
    /// Over the channels of the last convolution.
    pub norm: BatchNorm,
    /// After the ReLU.
    pub pool: Option<MaxPool2d>,
}

/// The convolutional part of the network.
#[derive(Module, Debug)]
pub struct Cnn {
    /// One after the other.
    pub stages: Vec<Stage>,
    /// From the flattened map [N, channels · height · width].
    pub linear: Linear,
}

/// A hand-written forward pass, recorded for the backward pass.
#[derive(Debug)]
pub struct Tape {
    stages: Vec<Walked>,
    output: Maps,
}

#[derive(Debug)]
struct Walked {
    convolutions: Vec<(Kernel, Taken)>,
    norm: (Norm, Normed),
}

impl Cnn {
    /// Creates a network with initial weights.
    pub fn new(preset: &preset::CnnPreset, device: &Device) -> Self {
        let mut size = [SEGMENT_FRAMES, BINS];
        let mut channels = 1;
        let mut stages = Vec::new();
        let features = match preset {
            preset::CnnPreset::Separable {
                stem,
                blocks,
                features,
            } => {
                stages.push(Stage::dense(channels, stem, None, device));
                size = output_size(size, stem.stride);
                channels = stem.channels;
                for block in blocks {
                    stages.push(Stage::separable(channels, block, device));
                    size = output_size(size, block.stride);
                    channels = block.channels;
                }
                *features
            }
            preset::CnnPreset::Plain {
                convolutions,
                pool,
                features,
            } => {
                for layer in convolutions {
                    stages.push(Stage::dense(channels, layer, Some(*pool), device));
                    let [height, width] = output_size(size, layer.stride);
                    size = [height / pool[0], width / pool[1]];
                    channels = layer.channels;
                }
                *features
            }
        };
        let linear = LinearConfig::new(channels * size[0] * size[1], features).init(device);
        Self { stages, linear }
    }

    /// Computes R_d of each segment: [N, 1, 32, 129] to [N, features].
    pub fn forward(&self, segments: Tensor<4>) -> Tensor<2> {
        self.head(self.maps(segments))
    }

    /// Computes the last stage's maps, flattened: the input of [`Cnn::head`].
    pub fn maps(&self, segments: Tensor<4>) -> Tensor<2> {
        self.stages
            .iter()
            .fold(segments, |x, stage| stage.forward(x))
            .flatten(1, 3)
    }

    /// Computes R_d from the flattened maps of the last stage.
    pub fn head(&self, flat: Tensor<2>) -> Tensor<2> {
        relu(self.linear.forward(flat))
    }

    /// Computes the flattened maps of segments [N, 32, 129] with the hand-written layers and the batch's
    /// statistics, updates the running statistics, and records a tape for the backward pass. `None` if a
    /// stage needs burn, because it has a pool.
    pub fn train_by_hand(&self, segments: &[f32]) -> Option<(Tensor<2>, Tape)> {
        let mut maps = self.by_hand(segments)?;
        let mut stages = Vec::new();
        for stage in &self.stages {
            let mut convolutions = Vec::new();
            for layer in &stage.convolutions {
                let kernel = kernel(layer);
                let (output, taken) = kernel.forward(maps);
                maps = output;
                convolutions.push((kernel, taken));
            }
            let norm = stage.hand_norm();
            let (output, normed) = norm.forward(maps);
            maps = output;
            stage.learn(&normed);
            stages.push(Walked {
                convolutions,
                norm: (norm, normed),
            });
        }
        let flat = flat(&maps, &self.linear.weight.device());
        let tape = Tape {
            stages,
            output: maps,
        };
        Some((flat.require_grad(), tape))
    }

    /// Like [`Cnn::train_by_hand`], but with the running statistics and without a tape.
    pub fn infer_by_hand(&self, segments: &[f32]) -> Option<Tensor<2>> {
        let mut maps = self.by_hand(segments)?;
        for stage in &self.stages {
            for layer in &stage.convolutions {
                maps = kernel(layer).forward(maps).0;
            }
            let mean = values(stage.norm.running_mean.value_sync());
            let variance = values(stage.norm.running_var.value_sync());
            maps = stage.hand_norm().with(maps, &mean, &variance);
        }
        Some(flat(&maps, &self.linear.weight.device()))
    }

    fn by_hand(&self, segments: &[f32]) -> Option<Maps> {
        let plain = BY_HAND && self.stages.iter().all(|stage| stage.pool.is_none());
        plain.then(|| Maps::segments(segments.to_vec()))
    }
}

impl Tape {
    /// Adds the stages' gradients, from the gradient of the flattened maps.
    pub fn backward(self, cnn: &Cnn, flat: Tensor<2>, gradients: &mut GradientsParams) {
        let device = flat.device();
        let mut gradient = self.output.unflattened(&values(flat));
        for (depth, (walked, stage)) in self.stages.into_iter().zip(&cnn.stages).enumerate().rev() {
            let (norm, normed) = walked.norm;
            let (gamma, beta, back) = norm.backward(&normed, gradient);
            gradients.register(stage.norm.gamma.id, vector(gamma, &device));
            gradients.register(stage.norm.beta.id, vector(beta, &device));
            gradient = back;
            for (index, ((kernel, taken), layer)) in walked
                .convolutions
                .into_iter()
                .zip(&stage.convolutions)
                .enumerate()
                .rev()
            {
                // The gradient of the segments is not needed.
                let further = depth > 0 || index > 0;
                let (weights, back) = kernel.backward(&taken, &gradient, further);
                let shape = layer.weight.dims();
                let weights = Tensor::<4>::from_data(TensorData::new(weights, shape), &device);
                gradients.register(layer.weight.id, weights);
                match back {
                    Some(back) => gradient = back,
                    None => return,
                }
            }
        }
    }
}

impl Stage {
    fn dense(
        channels: usize,
        layer: &preset::Convolution,
        pool: Option<[usize; 2]>,
        device: &Device,
    ) -> Self {
        Self {
            convolutions: vec![convolution(channels, layer).with_bias(false).init(device)],
            norm: BatchNormConfig::new(layer.channels).init(device),
            pool: pool.map(|size| MaxPool2dConfig::new(size).with_strides(size).init()),
        }
    }

    fn separable(channels: usize, block: &preset::Block, device: &Device) -> Self {
        let depthwise = Conv2dConfig::new([channels, channels], [3, 3])
            .with_groups(channels)
            .with_stride(block.stride)
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_bias(false)
            .init(device);
        let pointwise = Conv2dConfig::new([channels, block.channels], [1, 1])
            .with_bias(false)
            .init(device);
        Self {
            convolutions: vec![depthwise, pointwise],
            norm: BatchNormConfig::new(block.channels).init(device),
            pool: None,
        }
    }

    fn forward(&self, mut x: Tensor<4>) -> Tensor<4> {
        for convolution in &self.convolutions {
            x = convolution.forward(x);
        }
        let x = relu(self.norm.forward(x));
        match &self.pool {
            Some(pool) => pool.forward(x),
            None => x,
        }
    }

    fn hand_norm(&self) -> Norm {
        Norm {
            gamma: values(self.norm.gamma.val()),
            beta: values(self.norm.beta.val()),
            epsilon: self.norm.epsilon as f32,
        }
    }

    /// Moves the running statistics towards a batch's, as burn's module does.
    fn learn(&self, normed: &Normed) {
        for (state, batch) in [
            (&self.norm.running_mean, &normed.mean),
            (&self.norm.running_var, &normed.variance),
        ] {
            let running = state.value_sync();
            let batch = vector(batch.clone(), &running.device());
            let momentum = self.norm.momentum;
            state.update(running * (1.0 - momentum) + batch * momentum);
        }
    }
}

/// Converts a burn convolution for the hand-written code.
pub(crate) fn kernel(layer: &Conv2d) -> Kernel {
    let padding = match layer.padding {
        PaddingConfig2d::Explicit(top, left, _, _) => [top, left],
        _ => [0, 0],
    };
    Kernel::new(
        &values(layer.weight.val()),
        layer.weight.dims(),
        layer.bias.as_ref().map(|bias| values(bias.val())),
        layer.stride,
        padding,
        layer.groups > 1,
    )
}

fn flat(maps: &Maps, device: &Device) -> Tensor<2> {
    let width = maps.values.len() / maps.count;
    Tensor::from_data(
        TensorData::new(maps.flattened(), [maps.count, width]),
        device,
    )
}

fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use undertone::frontend::SEGMENT_VALUES;

    use super::*;
    use crate::preset::Preset;

    fn segments(count: usize) -> Vec<f32> {
        (0..count * SEGMENT_VALUES)
            .map(|k| ((k * 7919 % 1000) as f32 / 500.0 - 1.0) * (1.0 + (k % 129) as f32 / 64.0))
            .collect()
    }

    fn close(a: Tensor<1>, b: Tensor<1>, what: &str) {
        let size: f32 = b.clone().abs().max().into_scalar();
        let difference: f32 = (a - b).abs().max().into_scalar();
        assert!(difference <= 2e-4 * size, "{what}: {difference} of {size}");
    }

    #[test]
    fn by_hand_equals_burn_forward_and_backward() {
        let device = Device::flex().autodiff();
        let preset = Preset::load("default").unwrap().cnn;
        let hand = Cnn::new(&preset, &device);
        let record = hand.valid().into_record();
        let burn = Cnn::new(&preset, &device).load_record(record);
        let data = segments(6);
        let tensor = Tensor::from_data(TensorData::new(data.clone(), [6, 1, 32, 129]), &device);

        // A loss with a different weight for every feature.
        let weigh = |features: Tensor<2>| {
            let width = features.dims()[1];
            let weights = Tensor::arange(1..1 + (6 * width) as i64, &device)
                .float()
                .reshape([6, width]);
            (features * weights).sum()
        };
        let reference = burn.forward(tensor);
        let (flat, tape) = hand.train_by_hand(&data).unwrap();
        let ours = hand.head(flat.clone());
        close(
            ours.clone().inner().flatten(0, 1),
            reference.clone().inner().flatten(0, 1),
            "features",
        );
        let expected = GradientsParams::from_grads(weigh(reference).backward(), &burn);
        let mut gradients = weigh(ours).backward();
        let back = flat.grad_remove(&mut gradients).unwrap();
        let mut got = GradientsParams::from_grads(gradients, &hand);
        tape.backward(&hand, back, &mut got);
        for (hand, burn) in hand.stages.iter().zip(&burn.stages) {
            let one = |g: &GradientsParams, id: ParamId| g.get::<1>(id).unwrap();
            let four = |g: &GradientsParams, id: ParamId| g.get::<4>(id).unwrap().flatten(0, 3);
            close(
                one(&got, hand.norm.gamma.id),
                one(&expected, burn.norm.gamma.id),
                "gamma",
            );
            close(
                one(&got, hand.norm.beta.id),
                one(&expected, burn.norm.beta.id),
                "beta",
            );
            for (hand, burn) in hand.convolutions.iter().zip(&burn.convolutions) {
                close(
                    four(&got, hand.weight.id),
                    four(&expected, burn.weight.id),
                    "weights",
                );
            }
        }
        let data = segments(3);
        let tensor = Tensor::from_data(
            TensorData::new(data.clone(), [3, 1, 32, 129]),
            &Device::flex(),
        );
        let (hand, burn) = (hand.valid(), burn.valid());
        let ours = hand.head(hand.infer_by_hand(&data).unwrap());
        close(
            ours.flatten(0, 1),
            burn.forward(tensor).flatten(0, 1),
            "inference",
        );
    }
}
