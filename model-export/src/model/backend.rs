//! Where tensors live: the CPU, or with the feature `cuda` the first CUDA device.
//!
//! burn's `flex` backend is the fastest of those that need nothing but rustc; for CUDA burn fetches a
//! compiler while it is built, so that feature needs a network and a GPU's driver.

use burn::tensor::Device;

/// Whether the default preset's convolutions are trained by the hand-written code, which is for CPUs.
pub const BY_HAND: bool = !cfg!(feature = "cuda");

/// The device of everything that is trained or evaluated.
#[must_use]
pub fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0_usize);
    #[cfg(not(feature = "cuda"))]
    Device::flex()
}
