//! The trainer's half of the contract: a manifest, graphs, golden vectors and a card become a
//! folder that [`Bundle::open`](super::Bundle::open) takes.

use std::path::Path;

use super::{Bundle, BundleError, Files, Golden, Manifest, names};

/// What a bundle is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What the bundle says of itself.
    pub manifest: Manifest,
    /// What the graphs must reproduce.
    pub golden: Golden,
    /// `encoder.onnx`.
    pub encoder: Vec<u8>,
    /// `sequence.onnx`.
    pub sequence: Vec<u8>,
    /// `step.onnx`, for the form of sequence that has one.
    pub step: Option<Vec<u8>>,
    /// `MODEL_CARD.md`.
    pub card: String,
}

/// Puts the parts together in memory, with checksums, and checks them as a reader would.
///
/// # Errors
/// Parts that contradict each other.
pub fn assemble(parts: Parts) -> Result<Bundle, BundleError> {
    let mut files = Files::default();
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

/// Writes a bundle's files into `folder`, which is made if it is not there. The checksums come
/// last, so that a folder half written is refused.
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
    fn damage_is_refused_in_one_sentence_that_names_the_file() {
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
            ("sha256sum writes it: line 1", |dir| {
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
    fn only_taps_need_a_graph_for_a_step() {
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
