//! The networks: plain burn modules, built from a [`Preset`](crate::preset::Preset).
//!
//! [`vqvae`] learns codes from speech without labels ([`quantiser`] holds its codebook); [`cnn`] turns
//! a segment into R_d; a [`sequence`] model ([`tacn`], [`recurrent`]) a sequence of x_t into one of y_t;
//! [`network`] joins them and ends in step evidence. None knows of data, losses over epochs or files.

pub mod backend;
pub mod cnn;
pub mod convolution;
pub mod dropout;
pub mod network;
pub mod normalisation;
#[cfg(test)]
mod properties;
pub mod quantiser;
pub mod recurrent;
pub mod sequence;
pub mod tacn;
pub mod vqvae;

use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2dConfig;
use burn::tensor::Tensor;

use crate::preset::Convolution;

/// Padding [top, left, bottom, right] with which stride 1 keeps the size.
pub(crate) fn padding(kernel: [usize; 2]) -> [usize; 4] {
    let [height, width] = kernel;
    [(height - 1) / 2, (width - 1) / 2, height / 2, width / 2]
}

/// Output size of such a convolution.
pub(crate) fn output_size(size: [usize; 2], stride: [usize; 2]) -> [usize; 2] {
    [size[0].div_ceil(stride[0]), size[1].div_ceil(stride[1])]
}

/// A dense convolution of a preset, from so many channels.
pub(crate) fn convolution(channels: usize, convolution: &Convolution) -> Conv2dConfig {
    let [top, left, bottom, right] = padding(convolution.kernel);
    Conv2dConfig::new([channels, convolution.channels], convolution.kernel)
        .with_stride(convolution.stride)
        .with_padding(PaddingConfig2d::Explicit(top, left, bottom, right))
}

/// A tensor's values, row major.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .without_autodiff()
        .into_data()
        .iter::<f32>()
        .collect()
}
