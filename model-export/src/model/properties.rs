//! Properties for all sizes: hand-written layers equal burn's, gradients equal finite differences, and a step of
//! a sequence does not depend on later steps, other sequences or padding.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::nn::BatchNormConfig;
use burn::nn::conv::Conv2dConfig;
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::cnn::kernel;
use super::convolution::Maps;
use super::network::Network;
use super::normalisation::Norm;
use super::{convolution, values};
use crate::preset::{self, Pooling, Preset, Representation, SequenceModel};

/// A sequence model under test.
#[derive(Clone, Copy, Debug)]
struct ModelShape {
    model: SequenceModel,
    layers: usize,
    heads: usize,
    per_head: usize,
}

impl ModelShape {
    fn width(self) -> usize {
        self.heads * self.per_head
    }

    /// Without dropout, so that a loss is a function of the weights.
    fn network(self, device: &Device) -> Network {
        let mut preset = Preset::load("default").unwrap();
        preset.representation = Representation::Deep;
        preset.sequence = preset::SequencePreset {
            model: self.model,
            width: self.width(),
            layers: self.layers,
            recurrent_layers: self.layers.min(2),
            heads: self.heads,
            dropout: 0.0,
        };
        // burn draws initial weights from one generator per process, which other tests use too.
        let mut rng = StdRng::seed_from_u64(7);
        Network::new(&preset, 4, device).map(&mut Redraw(&mut rng))
    }

    /// How many earlier and later steps may depend on a step.
    fn reach(self) -> [usize; 2] {
        match self.model {
            // Two taps of 1, 2, 4, … back.
            SequenceModel::Tcn | SequenceModel::Tacn => [0, 2 * ((1 << self.layers) - 1)],
            model if model.is_causal() => [0, usize::MAX],
            _ => [usize::MAX; 2],
        }
    }
}

fn shape() -> impl Strategy<Value = ModelShape> {
    let model = prop::sample::select(SequenceModel::ALL.to_vec());
    (model, 1..=5usize, 1..=4usize, 1..=4usize).prop_map(|(model, layers, heads, per_head)| {
        ModelShape {
            model,
            layers,
            heads,
            per_head,
        }
    })
}

fn random(rng: &mut StdRng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Largest difference, as a share of the largest value (or of 1).
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0_f32, |most, v| most.max(v.abs()));
    let pairs = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    pairs.fold(0.0, f32::max) / largest
}

/// NCHW to the order of [`Maps`].
fn innermost(tensor: Tensor<4>) -> Vec<f32> {
    values(tensor.permute([0, 2, 3, 1]))
}

proptest! {
    #![proptest_config(replay::with_cases(24))]

    #[test]
    fn a_convolution_by_hand_is_burns_both_ways(
        seed: u64, count in 1..=2usize, size in [3..=9usize, 3..=9usize], kernels in [1..=4usize, 1..=4usize],
        stride in [1..=3usize, 1..=3usize], inputs in 1..=3usize, outputs in 1..=4usize, depthwise: bool,
    ) {
        let device = Device::flex().autodiff();
        let mut rng = StdRng::seed_from_u64(seed);
        let outputs = if depthwise { outputs.max(2) } else { outputs };
        let inputs = if depthwise { outputs } else { inputs };
        let layer = preset::Convolution { channels: outputs, kernel: kernels, stride };
        let config: Conv2dConfig = convolution(inputs, &layer).with_groups(if depthwise { inputs } else { 1 });
        let layer = config.init(&device);
        let data = random(&mut rng, count * inputs * size[0] * size[1]);
        let x = tensor(data, [count, inputs, size[0], size[1]], &device).require_grad();
        let expected = layer.forward(x.clone());
        let [_, _, height, width] = expected.dims();
        let weights = random(&mut rng, count * outputs * height * width);
        let weigh = tensor(weights, [count, outputs, height, width], &device);
        let gradients = (expected.clone() * weigh.clone()).sum().backward();

        let hand = kernel(&layer);
        let input = Maps { values: innermost(x.clone()), count, size, channels: inputs };
        let (found, taken) = hand.forward(input);
        prop_assert!(difference(&found.values, &innermost(expected)) < 1e-5);
        let gradient = Maps { values: innermost(weigh), ..found };
        let (weights, back) = hand.backward(&taken, &gradient, true);
        let expected = values(layer.weight.grad(&gradients).unwrap());
        prop_assert!(difference(&weights, &expected) < 1e-4);
        let expected = innermost(x.grad(&gradients).unwrap());
        prop_assert!(difference(&back.unwrap().values, &expected) < 1e-4);
    }

    #[test]
    fn a_normalisation_by_hand_is_burns_both_ways(
        seed: u64, count in 2..=4usize, size in [1..=5usize, 1..=5usize], channels in 1..=5usize,
    ) {
        let device = Device::flex().autodiff();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut layer = BatchNormConfig::new(channels).init(&device);
        let (gamma, beta) = (random(&mut rng, channels), random(&mut rng, channels));
        layer.gamma = layer.gamma.map(|_| tensor(gamma.clone(), [channels], &device).require_grad());
        layer.beta = layer.beta.map(|_| tensor(beta.clone(), [channels], &device).require_grad());
        let shape = [count, channels, size[0], size[1]];
        let total = shape.iter().product();
        let x = tensor(random(&mut rng, total), shape, &device).require_grad();
        let expected = relu(layer.forward(x.clone()));
        let weigh = tensor(random(&mut rng, total), shape, &device);
        let gradients = (expected.clone() * weigh.clone()).sum().backward();

        let norm = Norm { gamma, beta, epsilon: layer.epsilon as f32 };
        let (found, normed) = norm.forward(Maps { values: innermost(x.clone()), count, size, channels });
        prop_assert!(difference(&found.values, &innermost(expected)) < 1e-4);
        let gradient = Maps { values: innermost(weigh), ..found };
        let (gamma, beta, back) = norm.backward(&normed, gradient);
        prop_assert!(difference(&gamma, &values(layer.gamma.grad(&gradients).unwrap())) < 1e-3);
        prop_assert!(difference(&beta, &values(layer.beta.grad(&gradients).unwrap())) < 1e-3);
        prop_assert!(difference(&back.values, &innermost(x.grad(&gradients).unwrap())) < 1e-3);
    }

    #[test]
    fn a_step_changes_outputs_from_itself_to_the_end_of_its_reach_and_nowhere_else(
        seed: u64, shape in shape(), length in 1..=50usize, at in 0..50usize, beside in 0..2usize,
    ) {
        let device = Device::flex();
        let network = shape.network(&device);
        let mut rng = StdRng::seed_from_u64(seed);
        let width = shape.width();
        let x = random(&mut rng, 2 * length * width);
        let at = at % length;
        let mut other = x.clone();
        let changed = &mut other[(beside * length + at) * width..][..width];
        changed.copy_from_slice(&random(&mut rng, width));
        let say = |x| {
            let evidence = network.step_evidence(tensor(x, [2, length, width], &device), &[length; 2], None);
            (values(evidence.logits), values(evidence.scores))
        };
        let (before, after) = (say(x), say(other));
        let [earlier, later] = shape.reach();
        for step in 0..2 * length {
            let same = before.0[step * 4..][..4] == after.0[step * 4..][..4]
                && before.1[step] == after.1[step];
            let begin = beside * length + at;
            let reached = step / length == beside
                && step.saturating_add(earlier) >= begin
                && step <= begin.saturating_add(later);
            prop_assert!(same || reached, "step {step} depends on step {begin}");
            prop_assert!(!same || step != begin, "step {begin} does not depend on itself");
        }
    }

    #[test]
    fn padding_changes_nothing_for_any_lengths(
        seed: u64, shape in shape(), lengths in prop::collection::vec(1..=20usize, 1..=4), more in 0..5usize,
    ) {
        let device = Device::flex();
        let network = shape.network(&device);
        let mut rng = StdRng::seed_from_u64(seed);
        let (width, batch) = (shape.width(), lengths.len());
        let steps = lengths.iter().max().unwrap() + more;
        let x = random(&mut rng, batch * steps * width);
        let together = network.step_evidence(tensor(x.clone(), [batch, steps, width], &device), &lengths, None);
        let logits = values(together.logits.clone());
        let pooled = values(together.pooled(&lengths));
        for (number, &length) in lengths.iter().enumerate() {
            let own = x[number * steps * width..][..length * width].to_vec();
            let alone = network.step_evidence(tensor(own, [1, length, width], &device), &[length], None);
            let expected = values(alone.logits.clone());
            prop_assert!(difference(&logits[number * steps * 4..][..length * 4], &expected) < 1e-5);
            let expected = values(alone.pooled(&[length]));
            prop_assert!(difference(&pooled[number * 4..][..4], &expected) < 1e-5);
        }
    }
}

/// Every weight that the loss reaches, with its gradient.
struct Slopes<'a> {
    gradients: &'a GradientsParams,
    found: Vec<(ParamId, Vec<f32>)>,
}

impl ModuleVisitor for Slopes<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            self.found.push((parameter.id, values(gradient)));
        }
    }
}

/// Other weights, of the size that fresh ones have.
struct Redraw<'a>(&'a mut StdRng);

impl ModuleMapper for Redraw<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let values = random(self.0, parameter.val().dims().iter().product());
        let values = values.into_iter().map(|value| value / 2.0).collect();
        parameter.map(|value| {
            let device = value.device();
            let drawn = tensor::<D>(values, value.dims(), &device);
            if device.is_autodiff() {
                drawn.require_grad()
            } else {
                drawn
            }
        })
    }
}

/// Moves one weight by these values.
struct Shift {
    which: ParamId,
    by: Vec<f32>,
}

impl ModuleMapper for Shift {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if parameter.id != self.which {
            return parameter;
        }
        let by = self.by.clone();
        parameter.map(|value| {
            let (shape, device) = (value.dims(), value.device());
            value + tensor(by, shape, &device)
        })
    }
}

/// Central differences along a random direction of each weight: all of its elements at once.
#[test]
fn gradients_of_sequence_models_are_slopes_of_the_loss() {
    // If a ReLU has its kink within one of the steps, the other one decides.
    const STEPS: [f32; 2] = [2e-3, 5e-4];
    let device = Device::flex().autodiff();
    let mut rng = StdRng::seed_from_u64(11);
    for model in SequenceModel::ALL {
        for (layers, heads) in [(1, 2), (3, 4)] {
            let shape = ModelShape {
                model,
                layers,
                heads,
                per_head: 3,
            };
            let network = shape.network(&device);
            let lengths = [9, 5];
            let x = random(&mut rng, 2 * 9 * shape.width());
            let weights = random(&mut rng, 8);
            let loss = |network: &Network, device: &Device| {
                let x = tensor(x.clone(), [2, 9, shape.width()], device);
                let evidence = network.step_evidence(x, &lengths, None);
                evidence.pooled(&lengths) * tensor(weights.clone(), [2, 4], device)
            };
            let gradients = loss(&network, &device).sum().backward();
            let gradients = GradientsParams::from_grads(gradients, &network);
            let mut slopes = Slopes {
                gradients: &gradients,
                found: Vec::new(),
            };
            network.visit(&mut slopes);
            // Weights and biases; gates have one of each for the input and for the state.
            let each = match model {
                SequenceModel::Tcn => 2,
                SequenceModel::Tacn => 6,
                SequenceModel::SimpleRnn => 4,
                SequenceModel::Gru => 12,
                SequenceModel::Bgru => 24,
                SequenceModel::Lstm => 16,
                SequenceModel::Blstm => 32,
            };
            let layers = match model {
                SequenceModel::Tcn | SequenceModel::Tacn => layers,
                _ => layers.min(2),
            };
            assert_eq!(slopes.found.len(), layers * each + 4, "{shape:?}");
            let exact = |network: Network| -> f64 {
                let terms = values(loss(&network, &Device::flex()));
                terms.into_iter().map(f64::from).sum()
            };
            for (which, gradient) in slopes.found {
                let direction = random(&mut rng, gradient.len());
                let moved = |by: f32| {
                    let by = direction.iter().map(|d| d * by).collect();
                    exact(network.valid().map(&mut Shift { which, by }))
                };
                let slopes = STEPS.map(|step| (moved(step) - moved(-step)) / f64::from(2.0 * step));
                let products = gradient.iter().zip(&direction).map(|(g, d)| g * d);
                let expected = f64::from(products.sum::<f32>());
                let size = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
                let tolerance = 0.03 * f64::from(size) + 1e-3;
                assert!(
                    slopes
                        .iter()
                        .any(|slope| (slope - expected).abs() < tolerance),
                    "{shape:?}: slopes of {slopes:?}, a gradient of {expected} ({size})"
                );
            }
        }
    }
}

#[test]
fn pooling_by_the_mean_is_the_mean_and_gives_scores_of_zero() {
    let mut preset = Preset::load("default").unwrap();
    preset.representation = Representation::Deep;
    preset.training.pooling = Pooling::Mean;
    let device = Device::flex().autodiff();
    let network = Network::new(&preset, 4, &device);
    let mut rng = StdRng::seed_from_u64(2);
    let width = network.fusion.weight.dims()[1];
    let x = tensor(random(&mut rng, 2 * 7 * width), [2, 7, width], &device);
    let evidence = network.step_evidence(x, &[7, 3], None);
    assert!(values(evidence.scores.clone()).iter().all(|&s| s == 0.0));
    let pooled = values(evidence.pooled(&[7, 3]));
    let logits = values(evidence.logits.clone());
    for (number, length) in [7, 3].into_iter().enumerate() {
        for class in 0..4 {
            let steps = (0..length).map(|t| logits[(number * 7 + t) * 4 + class]);
            let mean = steps.sum::<f32>() / length as f32;
            assert!((pooled[number * 4 + class] - mean).abs() < 1e-5);
        }
    }
    let gradients = evidence.pooled(&[7, 3]).square().sum().backward();
    let gradients = GradientsParams::from_grads(gradients, &network);
    assert!(gradients.get::<2>(network.score.weight.id).is_none());
    assert!(gradients.get::<2>(network.logits.weight.id).is_some());
}
