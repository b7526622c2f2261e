//! The documents name only files and folders of the repository that exist.

use std::path::Path;

/// Folders whose paths the documents name. Others, such as `runs`, are examples.
const FOLDERS: [&str; 10] = [
    "src/",
    "tests/",
    "benches/",
    "examples/",
    "build/",
    "docs/",
    "fuzz/",
    "model-export/",
    "models/default",
    "proto/",
];

#[test]
fn every_path_in_the_documents_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for folder in ["", "docs", "fuzz"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let page = entry.unwrap().path();
            if page.extension().is_none_or(|kind| kind != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&page).unwrap();
            let page = page.strip_prefix(root).unwrap().display();
            for path in paths(&text).filter(|path| !root.join(path).exists()) {
                missing.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

/// What stands between backticks and begins with a folder. Patterns, and what a command writes, are left out.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|code| {
            let plain = code
                .chars()
                .all(|letter| letter.is_alphanumeric() || "/._-".contains(letter));
            plain && FOLDERS.iter().any(|folder| code.starts_with(folder))
        })
}
