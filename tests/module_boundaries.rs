//! Which module may depend on which: read from the paths of each module's code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::path::{Path, PathBuf};

/// Each module, and the other modules of this crate that it may depend on.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("address", &[]),
    ("audio", &[]),
    ("config", &["address", "audio", "engine", "telemetry"]),
    ("frontend", &[]),
    ("decision", &[]),
    ("speech", &["frontend"]),
    ("scheduler/core", &[]),
    ("telemetry", &[]),
    ("bundle", &["frontend"]),
    ("runtime", &["bundle", "frontend"]),
    ("scheduler", &["bundle", "frontend", "runtime", "telemetry"]),
    (
        "engine",
        &[
            "audio",
            "bundle",
            "decision",
            "frontend",
            "runtime",
            "scheduler",
            "speech",
            "telemetry",
        ],
    ),
    (
        "service",
        &[
            "address",
            "audio",
            "bundle",
            "decision",
            "engine",
            "frontend",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "address",
            "audio",
            "bundle",
            "config",
            "engine",
            "frontend",
            "runtime",
            "service",
            "telemetry",
        ],
    ),
];

#[test]
fn each_module_depends_only_on_what_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, allowed) in ALLOWED {
        for file in files(&root, module) {
            let text = std::fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                assert!(
                    !line.contains("crate::{"),
                    "{}: one module a `use`",
                    file.display()
                );
                for other in named(line).filter(|other| *other != module) {
                    if !allowed.contains(&other) {
                        let file = file.display();
                        wrong.push(format!(
                            "{file}:{}: {module} depends on {other}",
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Modules that a line names: what follows `crate::` outside comments.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).map(|rest| {
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .next()
            .unwrap_or_default()
    })
}

/// The files of a module: its folder's and, for a module of one file, that; without modules of the table
/// inside it.
fn files(root: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let alone = root.join(format!("{module}.rs"));
    if alone.is_file() {
        files.push(alone);
    }
    let mut folders = vec![root.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let inner = ALLOWED.iter().any(|(other, _)| path == root.join(other));
            if path.is_file() {
                files.push(path);
            } else if !inner {
                folders.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no module {module}");
    files
}
