//! Audio files below a folder.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressFinish};

/// A pointer has about 130 bytes; no recording of a corpus is this small.
const LARGEST_POINTER: u64 = 1_024;

/// Returns every audio file below `dir` at any depth except hidden ones, sorted by path.
///
/// Shows a spinner, because a large corpus on a network disk takes minutes.
pub(super) fn audio_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let spinner = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
    spinner.enable_steady_tick(Duration::from_millis(200));
    let mut files = Vec::new();
    walk(dir, &spinner, &mut files)?;
    drop(spinner);
    files.sort();
    Ok(files)
}

fn walk(dir: &Path, spinner: &ProgressBar, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("folder {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("folder {}", dir.display()))?;
        let path = entry.path();
        // Archives made on a Mac leave `._name.wav` beside each `name.wav`.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, spinner, files)?;
        } else if is_audio(&path) {
            files.push(path);
        }
    }
    spinner.set_message(format!("{} files, in {}", files.len(), dir.display()));
    Ok(())
}

/// Creates a progress bar for a loop over files: each costs a round trip on a network disk.
pub(super) fn bar(files: usize) -> ProgressBar {
    ProgressBar::new(files as u64)
        .with_message("checking files")
        .with_finish(ProgressFinish::AndClear)
}

/// Whether a file name ends in .wav or .flac.
fn is_audio(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("wav") || e.eq_ignore_ascii_case("flac"))
}

/// Whether the file is a Git LFS pointer, from a clone without `git lfs`, instead of audio.
pub(super) fn is_pointer(path: &Path) -> bool {
    if !std::fs::metadata(path).is_ok_and(|data| data.len() <= LARGEST_POINTER) {
        return false;
    }
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    read.is_ok() && head.starts_with(b"version https://git-lfs")
}

/// Returns a file's name without its extension; empty if it is not UTF-8.
pub(super) fn stem(path: &Path) -> &str {
    path.file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("")
}

/// Returns the names of the folders that contain a file, the nearest first.
pub(super) fn folders(path: &Path) -> impl Iterator<Item = &str> {
    path.ancestors()
        .skip(1)
        .filter_map(|folder| folder.file_name()?.to_str())
}
