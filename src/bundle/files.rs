//! The files of a bundle in memory, and their checksums.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::BundleError;
use super::names;

/// Names and contents of a bundle's files.
#[derive(Clone, Debug, Default)]
pub struct BundleFiles {
    contents: BTreeMap<String, Cow<'static, [u8]>>,
}

impl BundleFiles {
    /// Reads the files of a folder. Folders inside it are not part of a bundle.
    ///
    /// # Errors
    /// [`BundleError::Read`] for the folder or a file in it.
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        let read = |path: &Path, source| BundleError::Read {
            file: path.display().to_string(),
            source,
        };
        let mut files = Self::default();
        for entry in std::fs::read_dir(folder).map_err(|error| read(folder, error))? {
            let path = entry.map_err(|error| read(folder, error))?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                let content = std::fs::read(&path).map_err(|error| read(&path, error))?;
                files.insert(name.to_string_lossy(), content);
            }
        }
        Ok(files)
    }

    /// Adds a file, or replaces the one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, content: impl Into<Cow<'static, [u8]>>) {
        self.contents.insert(name.into(), content.into());
    }

    /// Returns a file's content.
    ///
    /// # Errors
    /// [`BundleError::Missing`].
    pub fn get(&self, name: &str) -> Result<&[u8], BundleError> {
        let content = self
            .contents
            .get(name)
            .ok_or_else(|| BundleError::Missing(name.into()))?;
        Ok(content)
    }

    /// Returns names and contents in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.contents
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_ref()))
    }

    /// Returns the content that [`names::CHECKSUMS`] should have: a line for each other file, in the format
    /// of `sha256sum`.
    #[must_use]
    pub fn checksums(&self) -> String {
        self.iter()
            .filter(|(name, _)| *name != names::CHECKSUMS)
            .map(|(name, content)| format!("{}  {name}\n", digest(content)))
            .collect()
    }

    /// Checks every file against the checksums.
    ///
    /// # Errors
    /// A missing, changed or unlisted file, or a list of checksums that does not parse.
    pub fn verify(&self) -> Result<(), BundleError> {
        let list = String::from_utf8_lossy(self.get(names::CHECKSUMS)?);
        let mut listed = BTreeSet::from([names::CHECKSUMS]);
        for (index, line) in list.lines().enumerate() {
            let (expected, name) = line
                .split_once("  ")
                .ok_or(BundleError::ChecksumLine(index + 1))?;
            let found = digest(self.get(name)?);
            if found != expected {
                return Err(BundleError::Checksum {
                    file: name.into(),
                    found,
                    expected: expected.into(),
                });
            }
            listed.insert(name);
        }
        match self
            .contents
            .keys()
            .find(|name| !listed.contains(name.as_str()))
        {
            Some(name) => Err(BundleError::Unlisted(name.clone())),
            None => Ok(()),
        }
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
