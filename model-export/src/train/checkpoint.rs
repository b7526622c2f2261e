//! Checkpoints: a run's state after an epoch. A crash leaves the last checkpoint complete.
//!
//! A checkpoint is a folder `checkpoint-EPOCH`. It is written under another name, then renamed. Then the
//! file `latest` is replaced in one step. Older checkpoints are removed last.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::atomic_file;

const LATEST: &str = "latest";
const PREFIX: &str = "checkpoint-";

/// Writes the state after this many finished epochs; `write` fills the folder that it gets.
///
/// # Errors
/// If `write` or the disk fails. The previous checkpoint stays valid.
pub fn save(run: &Path, epochs: usize, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = format!("{PREFIX}{epochs:04}");
    let staging = run.join("staging");
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    fs::create_dir_all(&staging)?;
    write(&staging)?;
    let folder = run.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&staging, &folder)?;
    atomic_file::replace(&run.join(LATEST), name.as_bytes())?;
    for entry in fs::read_dir(run)? {
        let other = entry?.file_name();
        let other = other.to_string_lossy();
        if other.starts_with(PREFIX) && other != name {
            fs::remove_dir_all(run.join(&*other))?;
        }
    }
    Ok(())
}

/// Returns the newest checkpoint: the number of finished epochs, and its folder.
///
/// # Errors
/// If the file `latest` contains a checkpoint that does not exist.
pub fn latest(run: &Path) -> Result<Option<(usize, PathBuf)>> {
    let file = run.join(LATEST);
    if !file.exists() {
        return Ok(None);
    }
    let name = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let folder = run.join(&name);
    let epochs = name
        .strip_prefix(PREFIX)
        .and_then(|epochs| epochs.parse().ok())
        .filter(|_| folder.is_dir())
        .with_context(|| format!("{} contains `{name}`, which is not a checkpoint of this run; remove the run folder and start again", file.display()))?;
    Ok(Some((epochs, folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_checkpoint_before() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(latest(run.path()).unwrap(), None);
        save(run.path(), 1, |folder| {
            Ok(fs::write(folder.join("x"), "1")?)
        })
        .unwrap();
        save(run.path(), 2, |_| anyhow::bail!("disk full")).unwrap_err();
        let (epochs, folder) = latest(run.path()).unwrap().unwrap();
        assert_eq!(epochs, 1);
        assert_eq!(fs::read_to_string(folder.join("x")).unwrap(), "1");
        save(run.path(), 2, |_| Ok(())).unwrap();
        assert_eq!(latest(run.path()).unwrap().unwrap().0, 2);
        assert!(!folder.exists(), "the older checkpoint is still there");
    }
}
