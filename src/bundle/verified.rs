//! A bundle after its checks: checksums first, then the manifest, then golden vectors and file list.

use std::path::Path;

use super::error::BundleError;
use super::files::BundleFiles;
use super::golden::Golden;
use super::manifest::{Manifest, Sequence};
use super::names;

/// A bundle with verified files and a consistent manifest.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The manifest: labels, shapes, front end, decision rules.
    pub manifest: Manifest,
    /// Inputs and outputs that the graphs must reproduce.
    pub golden: Golden,
    pub(super) files: BundleFiles,
}

impl Bundle {
    /// Reads and checks the bundle in a folder.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        Self::from_files(BundleFiles::read(folder)?)
    }

    /// Checks the bundle that is embedded in this build.
    ///
    /// # Errors
    /// [`BundleError::NotEmbedded`] without the feature `embedded-model`, or the first check that fails.
    pub fn embedded() -> Result<Self, BundleError> {
        #[cfg(feature = "embedded-model")]
        return Self::from_files(super::embedded::files());
        #[cfg(not(feature = "embedded-model"))]
        Err(BundleError::NotEmbedded)
    }

    /// Checks a bundle that is already in memory.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn from_files(files: BundleFiles) -> Result<Self, BundleError> {
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

    /// Returns the content of one of the bundle's files.
    ///
    /// # Errors
    /// [`BundleError::Missing`].
    pub fn file(&self, name: &str) -> Result<&[u8], BundleError> {
        self.files.get(name)
    }

    /// Returns the model card in Markdown.
    #[must_use]
    pub fn card(&self) -> String {
        self.files
            .get(names::CARD)
            .map(|card| String::from_utf8_lossy(card).into_owned())
            .unwrap_or_default()
    }
}

#[cfg(all(test, not(feature = "embedded-model")))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_model_asks_for_a_folder() {
        let error = Bundle::embedded().unwrap_err().to_string();
        assert!(error.contains("--bundle DIR"), "{error}");
    }
}
