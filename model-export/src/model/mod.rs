//! The networks: plain burn modules, built from a [`Preset`](crate::preset::Preset).
//!
//! - [`vqvae`] learns codes from speech without labels; [`quantiser`] is its codebook.
//! - [`cnn`] computes R_d from a segment; [`convolution`] and [`normalisation`] are its hand-written layers.
//! - [`sequence`] computes y_t from x_t, with [`tacn`] or [`recurrent`] layers and [`dropout`].
//! - [`network`] joins them and ends in step evidence. [`backend`] is the device of all tensors.
//!
//! Nothing here depends on data sets, files or the training of several epochs.

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

/// Returns the padding [top, left, bottom, right] that keeps the size at stride 1.
pub(crate) fn padding(kernel: [usize; 2]) -> [usize; 4] {
    let [height, width] = kernel;
    [(height - 1) / 2, (width - 1) / 2, height / 2, width / 2]
}

/// Returns the output size of a convolution with that padding.
pub(crate) fn output_size(size: [usize; 2], stride: [usize; 2]) -> [usize; 2] {
    [size[0].div_ceil(stride[0]), size[1].div_ceil(stride[1])]
}

/// Creates a preset's dense convolution of this many input channels.
pub(crate) fn convolution(channels: usize, convolution: &Convolution) -> Conv2dConfig {
    let [top, left, bottom, right] = padding(convolution.kernel);
    Conv2dConfig::new([channels, convolution.channels], convolution.kernel)
        .with_stride(convolution.stride)
        .with_padding(PaddingConfig2d::Explicit(top, left, bottom, right))
}

/// Returns a tensor's values, row-major.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .without_autodiff()
        .into_data()
        .iter::<f32>()
        .collect()
}
