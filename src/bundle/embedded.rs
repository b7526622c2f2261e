//! The default bundle, embedded in the binary by the feature `embedded-model`.

use super::files::BundleFiles;
use super::names;

/// Returns the files of `models/default`.
#[must_use]
pub fn files() -> BundleFiles {
    let mut files = BundleFiles::default();
    for (name, content) in [
        (
            names::MANIFEST,
            include_bytes!("../../models/default/bundle.toml").as_slice(),
        ),
        (
            names::CHECKSUMS,
            include_bytes!("../../models/default/SHA256SUMS"),
        ),
        (
            names::GOLDEN,
            include_bytes!("../../models/default/golden.safetensors"),
        ),
        (
            names::CARD,
            include_bytes!("../../models/default/MODEL_CARD.md"),
        ),
        (
            names::ENCODER,
            include_bytes!("../../models/default/encoder.onnx"),
        ),
        (
            names::SEQUENCE,
            include_bytes!("../../models/default/sequence.onnx"),
        ),
        (
            names::STEP,
            include_bytes!("../../models/default/step.onnx"),
        ),
    ] {
        files.insert(name, content);
    }
    files
}
