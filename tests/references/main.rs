//! The reference pages of the book equal the code that they describe, and the documents name files that exist.
//!
//! `UPDATE_REFERENCES=1 cargo test --test references` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod api;
#[path = "../common/mod.rs"]
mod common;
mod configuration;
mod metrics;
mod paths;

use std::path::Path;

/// Compares a page in `docs` with what the code gives, or writes it if `UPDATE_REFERENCES` is set.
fn check(page: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(page);
    if std::env::var_os("UPDATE_REFERENCES").is_some() {
        std::fs::write(path, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let differ = committed
        .lines()
        .zip(generated.lines())
        .position(|(committed, generated)| committed != generated)
        .unwrap_or_else(|| committed.lines().count().min(generated.lines().count()));
    assert!(
        committed == generated,
        "docs/{page} differs from the code from line {} on; \
         `UPDATE_REFERENCES=1 cargo test --test references` writes it anew",
        differ + 1
    );
}

/// The first lines of a generated page.
fn heading(title: &str, source: &str) -> String {
    format!(
        "# {title}\n\n<!-- Generated from {source} by tests/references. Write it anew with \
         `UPDATE_REFERENCES=1 cargo test --test references`. -->\n\n"
    )
}
