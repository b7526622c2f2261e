//! Which module may depend on which.
//!
//! The uses are read from the sources' paths, `super::` ones too. A path through a re-export counts as a use of
//! the file that defines the item.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[path = "common/imports.rs"]
mod imports;

use std::path::{Path, PathBuf};

use imports::Crate;

/// The modules of a crate, each with the other modules of that crate that it may depend on.
type Allowed = &'static [(&'static str, &'static [&'static str])];

const SERVER: Allowed = &[
    ("address", &[]),
    ("audio", &[]),
    ("bundle", &["frontend"]),
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
    (
        "config",
        &["address", "audio", "engine", "runtime", "telemetry"],
    ),
    ("decision", &[]),
    (
        "engine",
        &[
            "audio",
            "bundle",
            "decision",
            "frontend",
            "runtime",
            "scheduler",
            "scheduler/core",
            "speech",
            "telemetry",
        ],
    ),
    ("frontend", &[]),
    ("runtime", &["bundle", "frontend"]),
    (
        "scheduler",
        &[
            "bundle",
            "frontend",
            "runtime",
            "scheduler/core",
            "telemetry",
        ],
    ),
    ("scheduler/core", &[]),
    (
        "service",
        &[
            "address",
            "audio",
            "bundle",
            "decision",
            "engine",
            "frontend",
            "scheduler/core",
            "telemetry",
        ],
    ),
    ("speech", &["frontend"]),
    ("telemetry", &[]),
];

const TRAINER: Allowed = &[
    ("atomic_file", &[]),
    (
        "commands",
        &[
            "atomic_file",
            "data",
            "evaluate",
            "evaluate/metrics",
            "model",
            "onnx",
            "preset",
            "report",
            "train",
        ],
    ),
    ("data", &[]),
    ("evaluate", &["data", "evaluate/metrics", "preset", "train"]),
    ("evaluate/metrics", &[]),
    ("model", &["preset"]),
    ("onnx", &["model"]),
    ("preset", &[]),
    (
        "report",
        &[
            "atomic_file",
            "data",
            "evaluate",
            "evaluate/metrics",
            "preset",
            "train",
        ],
    ),
    (
        "train",
        &["atomic_file", "data", "evaluate/metrics", "model", "preset"],
    ),
];

#[test]
fn each_module_of_the_server_depends_only_on_what_it_may() {
    check("src", SERVER);
}

#[test]
fn each_module_of_the_trainer_depends_only_on_what_it_may() {
    check("model-export/src", TRAINER);
}

fn check(folder: &str, allowed: Allowed) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let sources = Crate::read(&root);
    let uses = sources.uses();
    assert!(uses.len() > sources.len(), "{folder}: {} uses", uses.len());
    for (name, _) in allowed {
        let files = uses.iter().flat_map(|(user, used, _)| [user, used]);
        let found = files.filter_map(|file| module(file, allowed));
        assert!(
            found.into_iter().any(|found| found == *name),
            "no module {name}"
        );
    }
    let mut wrong = Vec::new();
    for (user, used, path) in uses {
        // The root declares every module.
        if [&user, &used].contains(&&PathBuf::from("lib.rs")) {
            continue;
        }
        let (Some(from), Some(to)) = (module(&user, allowed), module(&used, allowed)) else {
            wrong.push(format!(
                "{folder}/{} uses {}, and one of them is in no module of the table",
                user.display(),
                used.display()
            ));
            continue;
        };
        let may_use = allowed
            .iter()
            .any(|(module, others)| *module == from && others.contains(&to));
        if from != to && !may_use {
            wrong.push(format!(
                "{folder}/{}: {from} depends on {to} by {path}",
                user.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns the module of the table that a file belongs to: the longest one that its path begins with.
fn module(file: &Path, allowed: Allowed) -> Option<&'static str> {
    let path = file.with_extension("");
    let modules = allowed.iter().map(|(module, _)| *module);
    modules
        .filter(|module| path.starts_with(module))
        .max_by_key(|module| module.len())
}
