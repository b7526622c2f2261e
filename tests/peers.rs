//! Third-party software against a real server: a Python client generated from `proto/`, Prometheus and promtool.
//!
//! `./test` installs them. If one is missing, the test prints a note and does nothing; if `CI` is set, the test fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod common;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Server;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Prints that a test cannot run here. In CI, the test fails.
fn missing(what: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "{what} is missing, and in CI nothing is skipped"
    );
    // Not `eprintln!`, because the test runner hides its output if the test passes.
    let line = format!("\n*** SKIPPED: {what} is missing; ./test installs it ***\n\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Returns real speech: 20 files of all corpora if they are beside the repository, otherwise the fixtures.
fn files() -> Vec<PathBuf> {
    let data = Path::new(ROOT).join("../shared/data");
    if !data.is_dir() {
        missing("../shared/data");
        return ["call.flac", "book.flac"]
            .map(|name| Path::new(ROOT).join("tests/audio").join(name))
            .to_vec();
    }
    let mut found = vec![data.join("long/call-40-customer-agent-8k-stereo.flac")];
    for (folder, count) in [
        ("ravdess/Actor_03", 5),
        ("banglaser", 5),
        ("emodb", 5),
        ("unlabelled", 4),
    ] {
        let mut files: Vec<_> = std::fs::read_dir(data.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "flac")
        });
        files.sort();
        let every = files.len() / count;
        found.extend(files.into_iter().step_by(every).take(count));
    }
    found
}

type Probabilities = BTreeMap<(String, u64), Vec<(String, f32)>>;

fn probabilities(output: &[u8]) -> Probabilities {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let values = row["probabilities"].as_object().unwrap().iter();
        let values = values.map(|(label, value)| (label.clone(), value.as_f64().unwrap() as f32));
        (
            (
                row["file"].as_str().unwrap().to_owned(),
                row["lane"].as_u64().unwrap(),
            ),
            values.collect(),
        )
    };
    std::str::from_utf8(output)
        .unwrap()
        .lines()
        .map(row)
        .collect()
}

#[test]
fn a_python_client_generated_from_proto_gets_the_same_numbers_as_the_command_line() {
    let python = Path::new(ROOT).join(".venv/bin/python");
    if !python.is_file() {
        return missing(".venv with grpcio-tools");
    }
    let server = Server::start();
    let files = files();
    let theirs = Command::new(python)
        .arg(Path::new(ROOT).join("tests/peers/client.py"))
        .arg(&server.address)
        .args(&files)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(theirs.status.success(), "the Python client failed");
    let ours = Command::new(env!("CARGO_BIN_EXE_undertone"))
        .args(["classify", "--json"])
        .args(&files)
        .output()
        .unwrap();
    let (theirs, ours) = (probabilities(&theirs.stdout), probabilities(&ours.stdout));
    assert_eq!(
        theirs.len(),
        files.len() + 1,
        "one lane a file, and two of the call"
    );
    assert_eq!(theirs, ours);
    println!(
        "{} files, {} lanes: the same numbers",
        files.len(),
        theirs.len()
    );
}

#[test]
fn promtool_finds_no_fault_in_the_metrics() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return missing("promtool");
    }
    let server = Server::start();
    classify(&server);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(server.scrape().as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_scrapes_the_server() {
    if Command::new("prometheus")
        .arg("--version")
        .output()
        .is_err()
    {
        return missing("prometheus");
    }
    let server = Server::start();
    classify(&server);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let targets = &server.metrics;
    let text = format!(
        "scrape_configs:\n- job_name: undertone\n  scrape_interval: 1s\n  \
         static_configs:\n  - targets: [\"{targets}\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let address = free_address();
    let _prometheus = Running(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let query = r#"undertone_requests_total{method="Classify",code="OK"}"#;
    // Prometheus decides when it scrapes, and a test cannot trigger it. So the test asks until it has.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = Command::new("promtool")
            .args(["query", "instant", &format!("http://{address}"), query])
            .output()
            .unwrap();
        if String::from_utf8_lossy(&answer.stdout).contains("=> 1 @") {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "Prometheus has no sample: {answer:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn classify(server: &Server) {
    let status = Command::new(env!("CARGO_BIN_EXE_undertone"))
        .args(["classify", "--server", &server.url()])
        .arg(Path::new(ROOT).join("tests/audio/book.flac"))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
