//! A model as one folder: manifest, graphs, golden vectors, card and checksums.
//!
//! [`Bundle::open`] reads a folder (or the bundle embedded in the binary) and checks, in order,
//! checksums, format version, front end and the manifest's own consistency; the graphs themselves
//! and the golden vectors are checked by `runtime`, which can run them. [`write`](writer::write) is
//! the trainer's half. Knows the front end's parameters and nothing else of the house.

#[cfg(feature = "server")]
pub mod embedded;
mod files;
mod golden;
mod manifest;
mod turns;
pub mod writer;

pub use files::Files;
pub use golden::{Golden, GoldenError};
pub use manifest::{
    Context, Decision, Encoder, FORMAT, Manifest, ManifestError, Pooling, Precision, Sequence,
    SpeechGate, Training,
};
pub use turns::Turns;

use std::path::Path;

/// Names of the files in a bundle.
pub mod names {
    /// The manifest.
    pub const MANIFEST: &str = "bundle.toml";
    /// SHA-256 of every other file, as `sha256sum` writes it.
    pub const CHECKSUMS: &str = "SHA256SUMS";
    /// Inputs and outputs that the graphs must reproduce.
    pub const GOLDEN: &str = "golden.safetensors";
    /// What the model is for and how good it is, in Markdown.
    pub const CARD: &str = "MODEL_CARD.md";
    /// Segments to features.
    pub const ENCODER: &str = "encoder.onnx";
    /// Features to step evidence, many steps at once.
    pub const SEQUENCE: &str = "sequence.onnx";
    /// Features to step evidence, one step of a live stream; only where a step is not a chunk of one
    /// ([`Sequence::Taps`](super::Sequence::Taps)).
    pub const STEP: &str = "step.onnx";
}

/// Why a bundle is refused; one sentence that names the file and the check.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read.
    #[error("bundle file {file} cannot be read: {source}")]
    Read {
        /// Path of the file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("bundle file {file} cannot be written: {source}")]
    Write {
        /// Path of the file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that the bundle must have is not there.
    #[error("bundle has no {0}")]
    Missing(String),
    /// A file's content is not what the checksums say.
    #[error("bundle file {file} has SHA-256 {found}, but SHA256SUMS says {expected}")]
    Checksum {
        /// Name of the file.
        file: String,
        /// What its content hashes to.
        found: String,
        /// What the checksums promise.
        expected: String,
    },
    /// A file that no checksum vouches for.
    #[error("bundle file {0} is not listed in SHA256SUMS")]
    Unlisted(String),
    /// The list of checksums does not read as `sha256sum` writes it.
    #[error("bundle file SHA256SUMS does not read as sha256sum writes it: line {0}")]
    ChecksumLine(usize),
    /// The manifest is not what this version reads.
    #[error("bundle file bundle.toml: {0}")]
    Manifest(#[from] ManifestError),
    /// The golden vectors are not complete.
    #[error("bundle file golden.safetensors: {0}")]
    Golden(#[from] GoldenError),
}

/// A bundle whose files are whole and whose manifest is consistent.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// What the bundle says of itself.
    pub manifest: Manifest,
    /// What the graphs must reproduce.
    pub golden: Golden,
    files: Files,
}

impl Bundle {
    /// Reads and checks the bundle in a folder.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        Self::from_files(Files::read(folder)?)
    }

    /// Checks a bundle that is already in memory.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn from_files(files: Files) -> Result<Self, BundleError> {
        files.verify()?;
        let manifest = Manifest::parse(files.get(names::MANIFEST)?)?;
        let golden = Golden::parse(files.get(names::GOLDEN)?, &manifest)?;
        for name in [names::ENCODER, names::SEQUENCE, names::CARD] {
            files.get(name)?;
        }
        if let Sequence::Taps { .. } = manifest.sequence {
            files.get(names::STEP)?;
        }
        Ok(Self {
            manifest,
            golden,
            files,
        })
    }

    /// The content of one of the bundle's files.
    ///
    /// # Errors
    /// [`BundleError::Missing`].
    pub fn file(&self, name: &str) -> Result<&[u8], BundleError> {
        self.files.get(name)
    }

    /// The model card, in Markdown.
    #[must_use]
    pub fn card(&self) -> String {
        self.files
            .get(names::CARD)
            .map(|card| String::from_utf8_lossy(card).into_owned())
            .unwrap_or_default()
    }
}
