//! The command line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::common::{self, Server};
use crate::data::shared;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_undertone"));
    command
        .arg("classify")
        .args(arguments)
        .current_dir(FIXTURES);
    command
}

/// Starts a command with pipes for its output and errors.
fn piped(arguments: &[&str]) -> Child {
    command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn classify(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout);
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Writes a file of silence.
fn silence(folder: &Path) -> String {
    let path = folder.join("silence.wav");
    std::fs::write(&path, common::wav(&[0.0; 32_000], 16_000)).unwrap();
    path.display().to_string()
}

#[test]
fn audio_is_not_sent_unencrypted_if_tls_was_requested() {
    let server = Server::start();
    for (url, expected) in [
        (format!("https://{}", server.address), "unencrypted"),
        (format!("HTTPS://{}", server.address), "unencrypted"),
        (
            format!("grpc://{}", server.address),
            "`grpc` is not supported",
        ),
        (
            format!("http://{}/api", server.address),
            "contains more than a server's address",
        ),
    ] {
        let output = classify(&["--server", &url, "book.flac"]);
        assert_eq!(output.status.code(), Some(2), "{url}");
        assert!(text(&output.stderr).contains(expected), "{output:?}");
        assert_eq!(text(&output.stdout), "");
    }
    // A proxy in an environment variable does not receive it either: nothing listens on port 9.
    let proxies = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "grpc_proxy",
    ];
    let output = command(&["--server", &server.address, "book.flac"])
        .envs(proxies.map(|name| (name, "http://127.0.0.1:9")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let requests = "undertone_requests_total{method=\"Classify\",code=\"OK\"}";
    assert_eq!(server.metric(requests), 1.0);
}

#[test]
fn an_abstention_does_not_look_like_a_label() {
    let folder = tempfile::tempdir().unwrap();
    let silence = silence(folder.path());
    let table = text(&classify(&[&silence]).stdout);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, [&silence, "0", "2.00", "NO_SPEECH", "-"], "{table}");
    let output = classify(&["--json", &silence]);
    let object = &objects(&output)[0];
    assert_eq!(object["abstained"], true);
    assert_eq!(object["reason"], "NO_SPEECH");
    assert!(object["label"].is_string() && object["confidence"].is_number());
}

/// Creates a named pipe, which never ends as long as it is open for writing.
fn pipe(folder: &Path) -> String {
    let pipe = folder.join("never-ends.wav");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    pipe.display().to_string()
}

#[test]
fn rows_are_printed_as_soon_as_they_are_ready() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path());
    let mut child = piped(&["book.flac", "README.md", &pipe]);
    // A recording that lasts as long as the pipe is open for writing.
    let mut writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    writer
        .write_all(&common::wav(&common::tone(1_600), 16_000))
        .unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();
    let head = rows.next().unwrap().unwrap();
    assert!(head.starts_with("file"), "{head}");
    let first = rows.next().unwrap().unwrap();
    assert!(first.starts_with("book.flac"), "{first}");
    // SIGINT, as Ctrl-C sends it.
    let id = child.id().to_string();
    let told = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(told.success());
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{errors}");
    assert!(rows.next().is_none());
    for expected in [
        "1 of 3 files classified: 6.0 s of audio",
        "stopped by SIGINT with 1 left",
        "1 refused: 1 × unknown audio format",
    ] {
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn the_output_ends_with_a_summary_and_failed_files_are_json_objects_too() {
    let output = classify(&[
        "--json",
        "README.md",
        "no-such.wav",
        "book.flac",
        "call.flac",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let objects = objects(&output);
    let files: Vec<_> = objects
        .iter()
        .map(|object| object["file"].as_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "README.md",
            "no-such.wav",
            "book.flac",
            "call.flac",
            "call.flac"
        ]
    );
    for failed in &objects[..2] {
        let keys: Vec<_> = failed.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error", "file"]);
    }
    let error = objects[0]["error"].as_str().unwrap();
    assert!(error.starts_with("unknown audio format"), "{error}");
    assert!(objects[2..].iter().all(|object| object["error"].is_null()));
    let errors = text(&output.stderr);
    assert!(
        errors.contains("2 of 4 files classified: 14.0 s of audio in "),
        "{errors}"
    );
    assert!(errors.contains(" × real time"), "{errors}");
    let refused = "2 refused: 1 × No such file or directory, 1 × unknown audio format";
    assert!(errors.contains(refused), "{errors}");
}

#[test]
fn a_reader_that_stops_early_causes_no_error() {
    for flags in [&[][..], &["--json"]] {
        let files = [flags, &["README.md", "book.flac", "call.flac"]].concat();
        let mut child = piped(&files);
        drop(child.stdout.take());
        let errors = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(
            errors
                .lines()
                .all(|line| line.starts_with("undertone: README.md: ")),
            "{errors}"
        );
    }
    // A closed standard error is no failure either.
    let mut child = piped(&["book.flac"]);
    drop(child.stderr.take());
    let rows = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(rows.contains("book.flac"));
}

/// Writes a WAV file with seconds of 16-bit silence at 44.1 kHz. The file is sparse and needs no space on the disk.
#[cfg(target_os = "linux")]
fn long_wav(folder: &Path, seconds: u32) -> String {
    let path = folder.join(format!("{seconds}.wav"));
    let size = seconds * 44_100 * 2;
    let mut head = common::wav(&[], 44_100);
    head[4..8].copy_from_slice(&(size + 36).to_le_bytes());
    head[40..44].copy_from_slice(&size.to_le_bytes());
    std::fs::write(&path, &head).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(head.len() as u64 + u64::from(size)).unwrap();
    path.display().to_string()
}

/// Classifies a file. Returns its row, and the peak memory of the process in bytes.
#[cfg(target_os = "linux")]
fn measured(file: &str, pipe: &str) -> (Value, u64) {
    // After the row, the process waits for the pipe, so that its memory can be read.
    let mut child = command(&["--json", file, pipe])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut row = String::new();
    let mut rows = BufReader::new(child.stdout.take().unwrap());
    rows.read_line(&mut row).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.unwrap().split_whitespace().next().unwrap();
    let kilobytes: u64 = kilobytes.parse().unwrap();
    (serde_json::from_str(&row).unwrap(), kilobytes << 10)
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_any_size_is_classified_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path());
    let (_, least) = measured(&long_wav(folder.path(), 60), &pipe);
    // Longer and larger than a request may be: 323 MB, and 234 MB of samples at 16 kHz.
    let (row, peak) = measured(&long_wav(folder.path(), 3_660), &pipe);
    assert_eq!(row["duration_s"], 3_660.0, "{row}");
    let more = peak.saturating_sub(least) >> 20;
    assert!(more < 80, "{more} MiB more than for a minute");
}

#[test]
fn a_file_gives_the_same_result_as_its_bytes_in_a_request() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    // Longer than the pieces that are submitted, with turns across the boundaries of pieces.
    let mut samples = Vec::new();
    for _ in 0..5 {
        let book = undertone::audio::decode(
            &common::book(),
            undertone::audio::Encoding::Auto,
            undertone::audio::LaneChoice::Auto,
            &undertone::audio::Limits::default(),
        );
        samples.append(&mut book.unwrap().lanes.remove(0));
    }
    let long = folder.path().join("long.wav");
    std::fs::write(&long, common::wav(&samples, 16_000)).unwrap();
    let long = long.display().to_string();
    let mut files = vec!["call.flac", "book.flac", &long];
    let kinds = std::fs::read_dir(Path::new(FIXTURES).join("formats")).unwrap();
    let kinds = kinds.map(|entry| entry.unwrap().path().display().to_string());
    let kinds: Vec<String> = kinds.collect();
    assert!(kinds.len() > 5, "{kinds:?}");
    files.extend(kinds.iter().map(String::as_str));
    let found = shared("formats").map(|folder| std::fs::read_dir(folder).unwrap());
    let found = found
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let found = found.filter(|path| path.is_file());
    let found: Vec<String> = found.map(|path| path.display().to_string()).collect();
    files.extend(found.iter().map(String::as_str));
    let here = classify(&[&["--json"], &files[..]].concat());
    let there = classify(&[&["--json", "--server", &server.url()], &files[..]].concat());
    assert_eq!(objects(&here), objects(&there));
}

#[test]
fn an_upload_that_the_server_would_refuse_is_not_sent() {
    let server = Server::with(&["--max-audio-bytes", "100000"]);
    let output = classify(&[
        "--json",
        "--server",
        &server.url(),
        "call.flac",
        "book.flac",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let refused: Vec<_> = objects(&output)
        .into_iter()
        .filter_map(|object| Some(object["error"].as_str()?.to_owned()))
        .collect();
    assert!(!refused.is_empty());
    for error in refused {
        assert!(
            error.contains("the server accepts at most 100000 (its --max-audio-bytes)"),
            "{error}"
        );
    }
    let requests = "undertone_requests_total{method=\"Classify\",code=\"OUT_OF_RANGE\"}";
    assert_eq!(server.metric(requests), 0.0);
}
