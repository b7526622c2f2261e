//! Why a bundle is refused. Each error is one sentence that names the file and the failed check.

use crate::frontend::SpecError;

/// Why a bundle is refused or cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file cannot be read.
    #[error("bundle file {file} cannot be read: {source}")]
    Read {
        /// Path of the file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("bundle file {file} cannot be written: {source}")]
    Write {
        /// Path of the file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that every bundle must have is missing.
    #[error("bundle has no {0}")]
    Missing(String),
    /// A file's content does not match its checksum.
    #[error("bundle file {file} has SHA-256 {found}, but SHA256SUMS lists {expected}")]
    Checksum {
        /// Name of the file.
        file: String,
        /// Checksum of its content.
        found: String,
        /// Checksum in the list.
        expected: String,
    },
    /// A file has no checksum.
    #[error("bundle file {0} is not listed in SHA256SUMS")]
    Unlisted(String),
    /// The list of checksums is not in the format of `sha256sum`.
    #[error("bundle file SHA256SUMS is not in the format of sha256sum: line {0}")]
    ChecksumLine(usize),
    /// This version cannot read the manifest.
    #[error("bundle file bundle.toml: {0}")]
    Manifest(#[from] ManifestError),
    /// The golden vectors are incomplete.
    #[error("bundle file golden.safetensors: {0}")]
    Golden(#[from] GoldenError),
    /// No folder is named, and this build embeds no bundle.
    #[error(
        "this build has no embedded model (feature `embedded-model`); give the folder of a bundle: \
         `--bundle DIR` for serve and classify, `inspect DIR`"
    )]
    NotEmbedded,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is not text.
    #[error("is not UTF-8")]
    Encoding,
    /// It does not parse. The message names line and field.
    #[error("{0}")]
    Parse(#[from] toml::de::Error),
    /// It cannot be written as TOML.
    #[error("{0}")]
    Write(#[from] toml::ser::Error),
    /// This version does not read the manifest's format.
    #[error("`format` is {found}; this version reads {supported}")]
    Format {
        /// The manifest's format.
        found: u32,
        /// The format that this version reads.
        supported: u32,
    },
    /// This version does not compute the manifest's front end.
    #[error("{0}")]
    Frontend(#[from] SpecError),
    /// A value contradicts the rest of the manifest.
    #[error("`{field}` is {found}: {rule}")]
    Value {
        /// The field, with its table.
        field: &'static str,
        /// The field's value.
        found: String,
        /// The rule for its value.
        rule: &'static str,
    },
}

/// Why golden vectors are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The safetensors container does not parse.
    #[error("{0}")]
    Container(#[from] safetensors::SafeTensorError),
    /// A tensor's type or shape differs from the one that the manifest requires.
    #[error("tensor `{name}` is {found}, but the manifest requires {expected}")]
    Shape {
        /// The tensor.
        name: &'static str,
        /// Its type and shape.
        found: String,
        /// The required type and shape.
        expected: String,
    },
    /// There is no segment.
    #[error("contains no segment")]
    Empty,
}
