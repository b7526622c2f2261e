//! A bundle in which any bytes replace one of its files is refused with an error that names the file, or can be
//! written and read again.
//!
//! The graphs are not checked here, because ONNX Runtime parses them.

use std::sync::LazyLock;

use undertone::bundle::{Bundle, BundleError, BundleFiles, Golden, Manifest, names};
use undertone::frontend::SEGMENT_VALUES;

static MANIFEST: &[u8] = include_bytes!("../../models/default/bundle.toml");

/// The golden vectors of one segment.
static GOLDEN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let manifest = Manifest::parse(MANIFEST).expect("the default manifest");
    let golden = Golden {
        segments: vec![0.5; SEGMENT_VALUES],
        features: vec![0.5; manifest.encoder.features],
        codes: manifest.encoder.codes.map(|codes| vec![7; codes]),
        distance: manifest.encoder.codes.map(|_| vec![0.5]),
        logits: vec![0.5; manifest.labels.len()],
        scores: vec![0.5],
    };
    golden.serialize().expect("vectors of one segment")
});

/// Checks one input: `m`, `g` or `s` for the manifest, the golden vectors or the checksums, then that file.
pub(crate) fn holds(data: &[u8]) {
    let (name, content) = match data {
        [b'm', content @ ..] => (names::MANIFEST, content),
        [b'g', content @ ..] => (names::GOLDEN, content),
        [b's', content @ ..] => (names::CHECKSUMS, content),
        _ => return,
    };
    let mut files = BundleFiles::default();
    files.insert(names::MANIFEST, MANIFEST);
    files.insert(names::GOLDEN, GOLDEN.as_slice());
    for graph in [names::ENCODER, names::SEQUENCE, names::STEP] {
        files.insert(graph, b"a graph".as_slice());
    }
    files.insert(names::CARD, b"# A card".as_slice());
    files.insert(name, content.to_vec());
    if name != names::CHECKSUMS {
        let checksums = files.checksums();
        files.insert(names::CHECKSUMS, checksums.into_bytes());
    }
    match Bundle::from_files(files) {
        Ok(bundle) => {
            let text = bundle
                .manifest
                .to_toml()
                .expect("a manifest that was read can be written");
            let again =
                Manifest::parse(text.as_bytes()).expect("a manifest that was written can be read");
            assert_eq!(again, bundle.manifest);
            assert!(!bundle.golden.is_empty());
        }
        // The manifest defines the shapes, so the vectors may not fit a new manifest.
        Err(BundleError::Golden(_)) => assert_ne!(name, names::CHECKSUMS),
        Err(BundleError::Manifest(_)) => assert_eq!(name, names::MANIFEST),
        Err(error) => assert_eq!(name, names::CHECKSUMS, "{error}"),
    }
}
