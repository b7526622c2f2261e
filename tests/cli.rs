//! The command line: output, exit codes and error messages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod common;

use std::process::{Command, Output};

use common::Server;
use serde_json::Value;

fn undertone(arguments: &[&str]) -> Output {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio");
    Command::new(env!("CARGO_BIN_EXE_undertone"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Vec<Value> {
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_server_and_the_embedded_engine_print_the_same_numbers() {
    let server = Server::start();
    let url = server.url();
    let here = undertone(&["classify", "--json", "call.flac", "book.flac"]);
    let there = undertone(&[
        "classify",
        "--json",
        "--server",
        &url,
        "call.flac",
        "book.flac",
    ]);
    assert!(here.status.success() && there.status.success());
    assert_eq!(json(&here), json(&there));
    let rows = json(&here);
    assert_eq!(rows.len(), 3, "two lanes of the call and one of the book");
    let keys: Vec<_> = rows[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "abstained",
        "confidence",
        "duration_s",
        "file",
        "label",
        "lane",
        "model",
        "narrow_band",
        "probabilities",
        "reason",
        "remixed",
        "truncated",
        "turns",
    ];
    assert_eq!(keys, expected);
    assert_eq!(
        (&rows[2]["file"], &rows[2]["duration_s"]),
        (&"book.flac".into(), &6.0.into())
    );
    let narrow: Vec<_> = rows
        .iter()
        .map(|row| row["narrow_band"].as_bool().unwrap())
        .collect();
    assert_eq!(narrow, [true, true, false]);
    let turns = rows[2]["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 2, "a sentence, and the next after a breath");
    assert!(turns[0]["end_s"].as_f64() < turns[1]["start_s"].as_f64());
    assert!(turns[1]["label"].is_string() && turns[1]["probabilities"].is_object());
    let sum: f64 = rows[2]["probabilities"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_f64)
        .sum();
    assert!((sum - 1.0).abs() < 1e-5);
}

#[test]
fn a_table_has_one_line_for_each_lane() {
    let output = undertone(&["classify", "call.flac"]);
    let lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].starts_with("file       lane  seconds  label"),
        "{}",
        lines[0]
    );
    assert!(
        lines[2].starts_with("call.flac  1     8.00") && lines[2].ends_with("narrow band"),
        "{}",
        lines[2]
    );
}

#[test]
fn a_file_that_fails_is_named_and_the_others_are_classified() {
    let output = undertone(&[
        "classify",
        "--json",
        "README.md",
        "no-such.wav",
        "book.flac",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let rows = json(&output);
    assert_eq!(rows.len(), 3);
    assert!(rows[..2].iter().all(|row| row["error"].is_string()));
    assert_eq!(rows[2]["file"], "book.flac");
    let errors = text(&output.stderr);
    assert!(
        errors.contains("README.md: unknown audio format"),
        "{errors}"
    );
    assert!(errors.contains("no-such.wav: No such file"), "{errors}");
}

#[test]
fn errors_name_the_cause_and_the_remedy() {
    for (arguments, code, expected) in [
        (&["classify"][..], 2, "FILE"),
        (&["serve", "--colour"], 2, "--colour"),
        (
            &["serve", "--bundle", "no-such"],
            1,
            "bundle file no-such cannot be read",
        ),
        (
            &["serve", "--onnxruntime", "no-such.so"],
            1,
            "ONNX Runtime does not load from no-such.so",
        ),
        // The library that the build fetches is one without CUDA.
        (
            &["serve", "--device", "cuda"],
            1,
            "cuda needs ONNX Runtime's GPU build",
        ),
        (&["serve", "--workers", "0"], 1, "`workers` is 0; 1 to 1024"),
        (
            &["serve", "--listen", "192.0.2.1:1"],
            1,
            "cannot listen on 192.0.2.1:1",
        ),
        (
            &["classify", "--server", "http://127.0.0.1:1", "book.flac"],
            1,
            "undertone serve",
        ),
        (&["inspect", "."], 1, "bundle has no SHA256SUMS"),
    ] {
        let extra: &[&str] = match arguments {
            ["serve", "--listen", ..] => &["--metrics-listen", "127.0.0.1:0"],
            ["serve", ..] => &["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
            _ => &[],
        };
        let output = undertone(&[arguments, extra].concat());
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
}

#[test]
fn inspect_describes_the_bundle_and_verifies_it() {
    let output = undertone(&["inspect"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    for words in [
        "neutral, anger, sadness, happiness",
        "narrow band ",
        "turns       ended by 1000 ms of silence",
        "golden segments reproduced",
        "chance UA",
        "Speaker-independent",
    ] {
        assert!(told.contains(words), "{told}");
    }
}
