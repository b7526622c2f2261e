//! Files that are replaced in one step, so that a crash never leaves half a file.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Replaces a file in one step: readers see the old content or the new content, never a part.
///
/// # Errors
/// If the file, or the file `*.staging` beside it, cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let staging = path.with_extension("staging");
    let write = || {
        let mut file = fs::File::create(&staging)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&staging, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
