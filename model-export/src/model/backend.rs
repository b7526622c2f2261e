//! The device of all tensors: the CPU or, with the feature `cuda`, the first CUDA device.
//!
//! burn's `flex` backend is the fastest that needs only rustc. For CUDA, burn downloads a compiler during
//! the build, so that feature needs a network and a GPU driver.

use burn::tensor::Device;

/// Whether the hand-written code, which is for CPUs, trains the default preset's convolutions.
pub const BY_HAND: bool = !cfg!(feature = "cuda");

/// Returns the device for training and evaluation.
#[must_use]
pub fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0_usize);
    #[cfg(not(feature = "cuda"))]
    Device::flex()
}
