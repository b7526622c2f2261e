//! Who may know whom: the house's walls, read from the `use` lines and paths of each room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::path::{Path, PathBuf};

/// Each room and the rooms of this crate that it may name.
const MAY_KNOW: [(&str, &[&str]); 14] = [
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
fn each_room_knows_only_whom_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, may_know) in MAY_KNOW {
        for file in files(&root, room) {
            let text = std::fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                assert!(
                    !line.contains("crate::{"),
                    "{}: one room a `use`",
                    file.display()
                );
                for other in named(line).filter(|other| *other != room) {
                    if !may_know.contains(&other) {
                        let file = file.display();
                        wrong.push(format!("{file}:{}: {room} knows {other}", number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Rooms that a line names: what follows `crate::` outside comments.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).map(|rest| {
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .next()
            .unwrap_or_default()
    })
}

/// The files of a room: its folder's and, for a room of one file, that; without rooms inside it.
fn files(root: &Path, room: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let alone = root.join(format!("{room}.rs"));
    if alone.is_file() {
        files.push(alone);
    }
    let mut folders = vec![root.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let inner = MAY_KNOW.iter().any(|(other, _)| path == root.join(other));
            match path.is_dir() {
                true if !inner => folders.push(path),
                true => {}
                false => files.push(path),
            }
        }
    }
    assert!(!files.is_empty(), "no room {room}");
    files
}
