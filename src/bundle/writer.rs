//! The trainer's half of the contract: writes a manifest, graphs, golden vectors and a card to a
//! folder that [`Bundle::open`](super::Bundle::open) reads.

use std::path::Path;

use super::error::BundleError;
use super::files::BundleFiles;
use super::golden::Golden;
use super::manifest::Manifest;
use super::names;
use super::verified::Bundle;

/// Contents of a new bundle.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The manifest.
    pub manifest: Manifest,
    /// Inputs and outputs that the graphs must reproduce.
    pub golden: Golden,
    /// `encoder.onnx`.
    pub encoder: Vec<u8>,
    /// `sequence.onnx`.
    pub sequence: Vec<u8>,
    /// `step.onnx`; only for [`Sequence::Taps`](super::Sequence::Taps).
    pub step: Option<Vec<u8>>,
    /// `MODEL_CARD.md`.
    pub card: String,
}

/// Combines the parts in memory, adds checksums, and runs the checks of [`Bundle::from_files`].
///
/// # Errors
/// Parts that contradict each other.
pub fn assemble(parts: Parts) -> Result<Bundle, BundleError> {
    let mut files = BundleFiles::default();
    files.insert(names::MANIFEST, parts.manifest.to_toml()?.into_bytes());
    files.insert(names::GOLDEN, parts.golden.serialize()?);
    files.insert(names::ENCODER, parts.encoder);
    files.insert(names::SEQUENCE, parts.sequence);
    if let Some(step) = parts.step {
        files.insert(names::STEP, step);
    }
    files.insert(names::CARD, parts.card.into_bytes());
    let checksums = files.checksums();
    files.insert(names::CHECKSUMS, checksums.into_bytes());
    Bundle::from_files(files)
}

/// Writes a bundle's files into `folder`, which is created if necessary. The checksums are written
/// last, so that a partly written folder is refused.
///
/// # Errors
/// [`BundleError::Write`] naming the file.
pub fn write(bundle: &Bundle, folder: &Path) -> Result<(), BundleError> {
    let failed = |path: &Path, source| BundleError::Write {
        file: path.display().to_string(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let (checksums, others): (Vec<_>, Vec<_>) = bundle
        .files
        .iter()
        .partition(|(name, _)| *name == names::CHECKSUMS);
    for (name, content) in others.into_iter().chain(checksums) {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Sequence;
    use super::super::manifest::tests::manifest;
    use super::*;
    use crate::frontend::SEGMENT_VALUES;

    fn parts() -> Parts {
        let golden = Golden {
            segments: vec![0.5; 2 * SEGMENT_VALUES],
            features: vec![0.25; 2 * 8],
            codes: None,
            distance: None,
            logits: vec![1.0; 2 * 2],
            scores: vec![0.0, 1.0],
        };
        let graph = || b"graph".to_vec();
        Parts {
            manifest: manifest(),
            golden,
            encoder: graph(),
            sequence: graph(),
            step: Some(graph()),
            card: "# Tiny".into(),
        }
    }

    #[test]
    fn a_written_bundle_opens_with_the_same_content() {
        let folder = tempfile::tempdir().unwrap();
        let written = assemble(parts()).unwrap();
        write(&written, folder.path()).unwrap();
        let read = Bundle::open(folder.path()).unwrap();
        assert_eq!(read.manifest, written.manifest);
        assert_eq!(read.golden, written.golden);
        assert_eq!(read.card(), "# Tiny");
    }

    #[test]
    fn a_damaged_bundle_is_refused_with_the_name_of_the_file() {
        type Damage = fn(&Path) -> std::io::Result<()>;
        let cases: [(&str, Damage); 5] = [
            ("extra.onnx is not listed", |dir| {
                std::fs::write(dir.join("extra.onnx"), "more")
            }),
            ("encoder.onnx has SHA-256", |dir| {
                std::fs::write(dir.join("encoder.onnx"), "other")
            }),
            ("bundle has no step.onnx", |dir| {
                std::fs::remove_file(dir.join("step.onnx"))
            }),
            ("bundle has no SHA256SUMS", |dir| {
                std::fs::remove_file(dir.join("SHA256SUMS"))
            }),
            ("format of sha256sum: line 1", |dir| {
                std::fs::write(dir.join("SHA256SUMS"), "nonsense")
            }),
        ];
        for (message, damage) in cases {
            let folder = tempfile::tempdir().unwrap();
            write(&assemble(parts()).unwrap(), folder.path()).unwrap();
            damage(folder.path()).unwrap();
            let error = Bundle::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn only_taps_require_a_step_graph() {
        let mut parts = parts();
        parts.step = None;
        let error = assemble(parts.clone()).unwrap_err().to_string();
        assert!(error.contains("bundle has no step.onnx"), "{error}");
        parts.manifest.sequence = Sequence::Recurrent {
            layers: 1,
            state: 8,
        };
        assemble(parts).unwrap();
    }

    #[test]
    fn golden_vectors_of_another_shape_are_refused() {
        let mut parts = parts();
        parts.golden.logits.truncate(2);
        let error = assemble(parts).unwrap_err().to_string();
        assert!(error.contains("tensor `logits`"), "{error}");
    }
}
