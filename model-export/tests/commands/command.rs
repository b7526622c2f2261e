//! Starts the real command.

use std::process::{Command, Output};

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_model-export"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a command that must succeed; returns its standard error.
pub(crate) fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    stderr
}
