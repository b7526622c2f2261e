//! The VQ-VAE: from a segment to a grid of codes and back, and the latent representation R_l.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use undertone::frontend::{BINS, SEGMENT_FRAMES};

use super::cnn::kernel;
use super::convolution::Maps;
use super::quantiser::Quantiser;
use super::{convolution, output_size, values};
use crate::preset;

/// Encoder, codebook and decoder.
#[derive(Module, Debug)]
pub struct VqVae {
    /// Strided convolutions, ReLU after each.
    pub encoder: Vec<Conv2d>,
    /// 1×1, to the codes' width.
    pub to_codes: Conv2d,
    /// The codebook.
    pub quantiser: Quantiser,
    /// 1×1, back to the encoder's width.
    from_codes: Conv2d,
    /// The encoder mirrored, ReLU before each.
    decoder: Vec<ConvTranspose2d>,
    commitment: f64,
}

/// The result of one batch of segments.
#[derive(Debug)]
pub struct Autoencoded {
    /// The training loss.
    pub loss: Tensor<1>,
    /// Mean squared error of the reconstructed segments, in squared deviations.
    pub reconstruction: f32,
    /// The chosen codes [N · P].
    pub codes: Vec<usize>,
}

/// R_l of a batch, and its distance to the codes.
#[derive(Debug)]
pub struct Latent {
    /// The quantised map, flattened as [N, D · height · width].
    pub representation: Vec<f32>,
    /// The chosen codes, row after row of the grid: [N, P].
    pub codes: Vec<usize>,
    /// Mean over the grid of the squared distance to the chosen codes `[N]`.
    pub distance: Vec<f32>,
    /// Smallest margin, in squared distance, between the chosen and the second nearest code.
    pub margin: f32,
}

impl VqVae {
    /// Creates a network with initial weights and an empty codebook.
    pub fn new(preset: &preset::VqVaePreset, device: &Device) -> Self {
        let mut encoder = Vec::new();
        let mut decoder = Vec::new();
        let mut size = [SEGMENT_FRAMES, BINS];
        let mut channels = 1;
        for layer in &preset.convolutions {
            encoder.push(convolution(channels, layer).init(device));
            let smaller = output_size(size, layer.stride);
            decoder.push(mirrored(layer, channels, smaller, size).init(device));
            size = smaller;
            channels = layer.channels;
        }
        decoder.reverse();
        let width = preset.dimension;
        Self {
            encoder,
            to_codes: Conv2dConfig::new([channels, width], [1, 1]).init(device),
            quantiser: Quantiser::new(preset, device),
            from_codes: Conv2dConfig::new([width, channels], [1, 1]).init(device),
            decoder,
            commitment: preset.commitment,
        }
    }

    /// Returns the width of R_l.
    pub fn width(preset: &preset::VqVaePreset) -> usize {
        let size = preset
            .convolutions
            .iter()
            .fold([SEGMENT_FRAMES, BINS], |size, layer| {
                output_size(size, layer.stride)
            });
        size[0] * size[1] * preset.dimension
    }

    /// Encodes, quantises and reconstructs segments [N, 1, 32, 129].
    ///
    /// The decoder's gradient bypasses the codebook and reaches the encoder unchanged. With `learn`, a random generator,
    /// the codebook first moves towards the batch, or is prepared for the gradient that moves it.
    pub fn autoencode(&mut self, segments: Tensor<4>, learn: Option<&mut StdRng>) -> Autoencoded {
        let encoded = self.encode(segments.clone());
        let [n, width, height, length] = encoded.dims();
        let places = encoded.clone().permute([0, 2, 3, 1]);
        let vectors = values(places);
        if let Some(random) = learn {
            self.quantiser.learn(&vectors, random);
        }
        let (codes, _) = self.quantiser.nearest(&vectors);
        let chosen = TensorData::new(self.quantiser.look_up(&codes), [n, height, length, width]);
        let map = Tensor::<4>::from_data(chosen, &encoded.device()).permute([0, 3, 1, 2]);
        let commitment = (encoded.clone() - map.clone()).square().mean();
        let passed = encoded.clone() + (map - encoded).detach();
        let reconstruction = (self.decode(passed) - segments).square().mean();
        let loss = reconstruction.clone() + commitment * self.commitment;
        Autoencoded {
            loss: match self.quantiser.loss(vectors, &codes) {
                Some(codebook) => loss + codebook,
                None => loss,
            },
            reconstruction: reconstruction.into_scalar(),
            codes,
        }
    }

    /// Computes R_l of segments [N, 32, 129] without a gradient.
    pub fn latent(&self, segments: Vec<f32>) -> Latent {
        let mut maps = Maps::segments(segments);
        for layer in &self.encoder {
            maps = kernel(layer).forward(maps).0;
            maps.values
                .iter_mut()
                .for_each(|value| *value = value.max(0.0));
        }
        let encoded = kernel(&self.to_codes).forward(maps).0;
        let (codes, margin) = self.quantiser.nearest(&encoded.values);
        let chosen = self.quantiser.look_up(&codes);
        let places = (encoded.size[0] * encoded.size[1]) as f32;
        let each = encoded.values.len() / encoded.count;
        let distance = encoded
            .values
            .chunks_exact(each)
            .zip(chosen.chunks_exact(each))
            .map(|(vectors, codes)| {
                let squares = vectors.iter().zip(codes).map(|(a, b)| (a - b) * (a - b));
                squares.sum::<f32>() / places
            })
            .collect();
        let quantised = Maps {
            values: chosen,
            ..encoded
        };
        Latent {
            representation: quantised.flattened(),
            codes,
            distance,
            margin,
        }
    }

    /// Computes R_l [N, D · height · width] of segments from their codes [N, P].
    pub fn representation(&self, codes: &[usize], count: usize) -> Vec<f32> {
        let values = self.quantiser.look_up(codes);
        let quantised = Maps {
            channels: values.len() / codes.len().max(1),
            values,
            count,
            size: [codes.len() / count.max(1), 1],
        };
        quantised.flattened()
    }

    fn encode(&self, segments: Tensor<4>) -> Tensor<4> {
        let hidden = self
            .encoder
            .iter()
            .fold(segments, |x, layer| relu(layer.forward(x)));
        self.to_codes.forward(hidden)
    }

    fn decode(&self, map: Tensor<4>) -> Tensor<4> {
        let hidden = self.from_codes.forward(map);
        self.decoder
            .iter()
            .fold(hidden, |x, layer| layer.forward(relu(x)))
    }
}

/// Creates the transposed convolution that reverses a convolution's change of shape.
fn mirrored(
    layer: &preset::Convolution,
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
) -> ConvTranspose2dConfig {
    let padding = layer.kernel.map(|kernel| (kernel - 1) / 2);
    let missing = |axis: usize| {
        let bare = (from[axis] - 1) * layer.stride[axis] + layer.kernel[axis] - 2 * padding[axis];
        to[axis] - bare
    };
    ConvTranspose2dConfig::new([layer.channels, channels], layer.kernel)
        .with_stride(layer.stride)
        .with_padding(padding)
        .with_padding_out([missing(0), missing(1)])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use rand::SeedableRng;

    use super::*;
    use crate::preset::Preset;

    #[test]
    fn the_gradient_passes_the_codebook_straight_through() {
        let device = Device::flex().autodiff();
        let preset = Preset::load("default").unwrap().vqvae;
        let mut model = VqVae::new(&preset, &device);
        let segments = Tensor::random([3, 1, 32, 129], Distribution::Normal(0.0, 1.0), &device);
        let mut random = StdRng::seed_from_u64(1);
        let rebuilt = model.autoencode(segments, Some(&mut random));
        let gradients = rebuilt.loss.backward();
        for layer in &model.encoder {
            let gradient = layer.weight.grad(&gradients).unwrap();
            let size: f32 = gradient.abs().max().into_scalar();
            assert!(size > 0.0, "no gradient behind the codebook");
        }
    }

    /// The decoder's gradient at the codes reaches the encoder unchanged, for both ways of learning codes; the
    /// gradient of the codes' own loss does not.
    #[test]
    fn the_encoder_gets_the_decoders_gradient_as_if_there_were_no_codebook() {
        let device = Device::flex().autodiff();
        for learning in [preset::Learning::Ema, preset::Learning::Loss] {
            let mut preset = Preset::load("default").unwrap().vqvae;
            preset.learning = learning;
            preset.commitment = 0.0;
            let mut model = VqVae::new(&preset, &device);
            let segments = Tensor::random([3, 1, 32, 129], Distribution::Normal(0.0, 1.0), &device);
            let mut random = StdRng::seed_from_u64(1);
            let rebuilt = model.autoencode(segments.clone(), Some(&mut random));
            let gradients = rebuilt.loss.backward();
            let bias = model.to_codes.bias.as_ref().unwrap();
            let found = values(bias.grad(&gradients).unwrap());

            let chosen = model.quantiser.look_up(&rebuilt.codes);
            let chosen = Tensor::<4>::from_data(TensorData::new(chosen, [3, 4, 9, 16]), &device);
            let map = chosen.permute([0, 3, 1, 2]).require_grad();
            let loss = (model.decode(map.clone()) - segments).square().mean();
            let gradients = loss.backward();
            // A bias changes its channel at every place.
            let expected = map.grad(&gradients).unwrap().permute([0, 2, 3, 1]);
            let expected = values(expected.reshape([108, 16]).sum_dim(0));
            let size = expected.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-3 * size,
                    "{learning:?}: {found}, {expected}"
                );
            }
        }
    }

    #[test]
    fn the_latent_representation_is_what_the_decoder_sees() {
        let device = Device::flex();
        let preset = Preset::load("default").unwrap().vqvae;
        let mut model = VqVae::new(&preset, &device);
        let segments = Tensor::random([3, 1, 32, 129], Distribution::Normal(0.0, 1.0), &device);
        let mut random = StdRng::seed_from_u64(1);
        model.autoencode(segments.clone(), Some(&mut random));
        let latent = model.latent(values(segments));
        assert_eq!(latent.representation.len(), 3 * VqVae::width(&preset));
        assert_eq!(latent.codes.len(), 3 * 36);
        // Channel c at place p is component c of the code chosen there.
        let book = values(model.quantiser.codes());
        for (segment, channel, place) in [(0, 0, 0), (1, 3, 17), (2, 15, 35)] {
            let code = latent.codes[segment * 36 + place];
            let value = latent.representation[segment * 576 + channel * 36 + place];
            assert_eq!(value, book[code * 16 + channel]);
        }
        let known = model.representation(&latent.codes, 3);
        assert_eq!(known, latent.representation);
    }
}
