//! No two types of a crate share a name: if they do, one of the names is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[test]
fn no_two_types_of_a_crate_share_a_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for sources in ["src", "model-export/src"] {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in sources_below(&root.join(sources)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for name in types(&text) {
                let file = file.strip_prefix(root).unwrap().display().to_string();
                places.entry(name.to_owned()).or_default().push(file);
            }
        }
        assert!(places.len() > 50, "{sources}: the types are found");
        places.retain(|_, files| files.len() > 1);
        let shared: Vec<String> = places
            .iter()
            .map(|(name, files)| format!("{name}: {}", files.join(", ")))
            .collect();
        assert!(shared.is_empty(), "\n{}", shared.join("\n"));
    }
}

/// Names of the types that a file defines for more than its tests. Associated types are indented.
fn types(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter_map(|line| {
        let line = match line.strip_prefix("pub(") {
            Some(rest) => rest.split_once(") ")?.1,
            None => line.strip_prefix("pub ").unwrap_or(line),
        };
        let (kind, rest) = line.split_once(' ')?;
        let is_type = matches!(kind, "struct" | "enum" | "trait" | "type");
        is_type.then(|| {
            rest.split(|letter: char| !letter.is_alphanumeric())
                .next()
                .unwrap_or_default()
        })
    })
}

/// The sources below a folder, other than those of tests alone.
fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" || name == "interleavings" {
            continue;
        }
        if path.is_dir() {
            sources.append(&mut sources_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    sources
}
