//! What sessions run on: the processor or an NVIDIA GPU.

use ort::ep;
use serde::{Deserialize, Serialize};

/// ONNX Runtime's execution provider for all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA GPU. Needs ONNX Runtime's GPU build with its CUDA provider in the same folder, and
    /// CUDA and cuDNN where the system looks for libraries.
    Cuda,
}

impl Provider {
    /// Returns the provider's name, as flags and metrics write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// Returns what the user must install, as the end of an error message.
    pub(super) fn requirements(self) -> &'static str {
        match self {
            Self::Cpu => "",
            Self::Cuda => {
                " (cuda needs ONNX Runtime's GPU build, and CUDA and cuDNN where the system looks for \
                 libraries)"
            }
        }
    }

    /// Returns the provider as a session registers it.
    pub(super) fn registered(self) -> ep::ExecutionProviderDispatch {
        match self {
            Self::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
            // TF32 would lose three digits. An exhaustive search would try every algorithm for every
            // shape at start.
            Self::Cuda => ep::CUDA::default()
                .with_tf32(false)
                .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                .build()
                .error_on_failure(),
        }
    }
}
