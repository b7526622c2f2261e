//! Names of the files in a bundle.

/// The manifest.
pub const MANIFEST: &str = "bundle.toml";
/// SHA-256 of every other file, in the format of `sha256sum`.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// Inputs and outputs that the graphs must reproduce.
pub const GOLDEN: &str = "golden.safetensors";
/// The model card in Markdown: what the model is for and how well it performs.
pub const CARD: &str = "MODEL_CARD.md";
/// Segments to features.
pub const ENCODER: &str = "encoder.onnx";
/// Features to step evidence, many steps at once.
pub const SEQUENCE: &str = "sequence.onnx";
/// Features to step evidence, one step of a live stream. Only bundles of
/// [`Sequence::Taps`](super::Sequence::Taps) have it; elsewhere a step is a chunk of length 1.
pub const STEP: &str = "step.onnx";
