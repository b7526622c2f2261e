//! No circles among the files of a crate: a file does not use, directly or through others, a file that uses it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[path = "common/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use imports::{Crate, Use};

/// Source folders of the crates.
const CRATES: [&str; 2] = ["src", "model-export/src"];

#[test]
fn no_file_uses_a_file_that_uses_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in CRATES {
        let sources = Crate::read(&root.join(folder));
        assert!(sources.len() > 10, "{folder}: {} files", sources.len());
        let uses = sources.uses();
        assert!(uses.len() > sources.len(), "{folder}: {} uses", uses.len());
        let circles = circles(&uses);
        let mut text = String::new();
        for circle in &circles {
            for (from, to, path) in circle {
                text += &format!("{} uses {path} of {}\n", from.display(), to.display());
            }
            text.push('\n');
        }
        assert!(
            circles.is_empty(),
            "{folder}: {} circles.\n{text}Move what both files need into a file of its own.",
            circles.len()
        );
    }
}

/// Finds circles among files: for each group of files that reach each other, one shortest circle.
fn circles(uses: &BTreeSet<Use>) -> Vec<Vec<Use>> {
    let mut next: BTreeMap<&Path, BTreeMap<&Path, &str>> = BTreeMap::new();
    for (from, to, path) in uses {
        next.entry(from).or_default().entry(to).or_insert(path);
    }
    let mut circles = Vec::new();
    let mut grouped: BTreeSet<&Path> = BTreeSet::new();
    for &start in next.keys() {
        if grouped.contains(start) {
            continue;
        }
        let Some(circle) = shortest_circle(&next, start) else {
            continue;
        };
        grouped.insert(start);
        let others = next.keys().filter(|&&file| {
            file != start && reaches(&next, start, file) && reaches(&next, file, start)
        });
        grouped.extend(others);
        circles.push(circle);
    }
    circles
}

type Graph<'a> = BTreeMap<&'a Path, BTreeMap<&'a Path, &'a str>>;

fn reaches(next: &Graph<'_>, from: &Path, to: &Path) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for &other in next.get(file).into_iter().flat_map(BTreeMap::keys) {
            if other == to {
                return true;
            }
            if seen.insert(other) {
                open.push(other);
            }
        }
    }
    false
}

/// Finds the shortest circle through a file.
fn shortest_circle(next: &Graph<'_>, start: &Path) -> Option<Vec<Use>> {
    let mut before: BTreeMap<&Path, Use> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(file) = open.pop_front() {
        for (&other, path) in next.get(file).into_iter().flatten() {
            if before.contains_key(other) {
                continue;
            }
            let step = (file.to_owned(), other.to_owned(), (*path).to_owned());
            before.insert(other, step);
            open.push_back(other);
            if other == start {
                let mut circle = Vec::new();
                let mut at = start.to_owned();
                loop {
                    let step = before.get(at.as_path())?.clone();
                    at.clone_from(&step.0);
                    circle.insert(0, step);
                    if at == start {
                        return Some(circle);
                    }
                }
            }
        }
    }
    None
}

#[test]
fn circles_are_found_whatever_the_path_looks_like() {
    // (files, circle); a circle of the files `a.rs` and `b.rs`, or of `a/mod.rs` and `a/b.rs`.
    let cases: [(&[(&str, &str)], bool); 11] = [
        // Plain imports.
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::f; pub fn g() { f() }"),
                ("b.rs", "pub fn f() { crate::a::g() }"),
            ],
            true,
        ),
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use super::b; pub fn g() { b::f() }"),
                ("b.rs", "use super::a::g; pub fn f() { g() }"),
            ],
            true,
        ),
        // One way only.
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::f; pub fn g() { f() }"),
                ("b.rs", "pub fn f() {}"),
            ],
            false,
        ),
        // The import of a module without a path through it, and a comment and a string, are no uses.
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::f; pub fn g() { f() }"),
                (
                    "b.rs",
                    "/// [`crate::a::g`]\npub fn f() { print!(\"crate::a::g\") }",
                ),
            ],
            false,
        ),
        // Tests may look up.
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::f; pub fn g() { f() }"),
                (
                    "b.rs",
                    "pub fn f() {} #[cfg(test)] mod tests { use crate::a::g; }",
                ),
            ],
            false,
        ),
        // In a macro's arguments, and in nested imports.
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::{b::{f, h}}; pub fn g() { f(h) }"),
                (
                    "b.rs",
                    "pub fn h() {} pub fn f() { print!(\"{}\", crate::a::g()) }",
                ),
            ],
            true,
        ),
        // A parent that declares and re-exports does not use its child.
        (
            &[
                ("lib.rs", "mod a;"),
                ("a/mod.rs", "mod b; pub use b::f; pub struct A;"),
                ("a/b.rs", "use super::A; pub fn f(_: A) {}"),
            ],
            false,
        ),
        // One that also uses the name, or the child by its path, does.
        (
            &[
                ("lib.rs", "mod a;"),
                (
                    "a/mod.rs",
                    "mod b; pub use b::f; pub struct A; pub fn g() { f(A) }",
                ),
                ("a/b.rs", "use super::A; pub fn f(_: A) {}"),
            ],
            true,
        ),
        (
            &[
                ("lib.rs", "mod a;"),
                ("a/mod.rs", "mod b; pub struct A; pub fn g() { b::f(A) }"),
                ("a/b.rs", "use super::A; pub fn f(_: A) {}"),
            ],
            true,
        ),
        // Re-exports are followed to the file that defines the item.
        (
            &[
                ("lib.rs", "mod a; mod b; mod c; pub use c::C;"),
                ("a.rs", "pub fn g() { crate::b::f() }"),
                ("b.rs", "pub fn f() { crate::C::new() }"),
                (
                    "c.rs",
                    "pub struct C; impl C { pub fn new() { crate::a::g() } }",
                ),
            ],
            true,
        ),
        (
            &[
                ("lib.rs", "mod a; mod b; mod c; pub use c::C;"),
                ("a.rs", "use crate::*; pub fn g() { crate::b::f() }"),
                ("b.rs", "pub fn f(_: crate::C) {}"),
                ("c.rs", "pub struct C;"),
            ],
            false,
        ),
    ];
    for (files, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = circles(&Crate::read(folder.path()).uses());
        assert_eq!(!found.is_empty(), expected, "{files:#?}\n{found:#?}");
    }
}
