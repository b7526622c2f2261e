//! Recordings outside the repository. Their licences forbid a copy in it, or they are too large.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Returns a file or folder in the data folder beside the checkout. If it is missing, this prints a note and returns
/// `None`; in CI the test fails.
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(part);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing",
        path.display()
    );
    let line = format!("\n*** SKIPPED: {} is not there ***\n\n", path.display());
    // Not `eprintln!`, because the test runner hides its output if the test passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}
