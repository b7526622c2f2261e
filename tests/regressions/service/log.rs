//! The log lines for operators.

use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use undertone::service::pb::emotion_service_client::EmotionServiceClient;
use undertone::service::pb::{BatchClassifyRequest, ClassifyRequest, GetModelRequest};

use super::logged::Logged;
use super::raw::{BATCH_CLASSIFY, call, encoded, framed};
use crate::common;

fn book() -> ClassifyRequest {
    ClassifyRequest {
        audio: common::book().into(),
        ..Default::default()
    }
}

fn field<'a>(line: &'a Value, name: &str) -> &'a str {
    line["fields"][name].as_str().unwrap()
}

/// Returns the lines with this message.
fn with_message<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    let has_message = |line: &&Value| line["fields"]["message"] == message;
    lines.iter().filter(has_message).collect()
}

// The client must close its half of the connection while the test waits for the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_one_line_with_caller_work_and_duration_and_without_its_content() {
    let server = Logged::listening(&["--max-audio-bytes", "1000000"]);
    server.line("serving");
    let mut client = EmotionServiceClient::new(server.channel().await);
    let mut request = Request::new(book());
    let metadata = request.metadata_mut();
    metadata.insert("undertone-tenant", "acme".parse().unwrap());
    metadata.insert("authorization", "Bearer sesame".parse().unwrap());
    assert!(client.classify(request).await.is_ok());
    let line = server.line("call");
    assert_eq!(line["level"], "INFO");
    assert_eq!(field(&line, "method"), "Classify");
    assert_eq!(field(&line, "code"), "OK");
    assert_eq!(field(&line, "tenant"), "acme");
    assert!(field(&line, "peer").starts_with("127.0.0.1:"));
    assert_eq!(line["fields"]["audio_seconds"], 6.0);
    assert_eq!(line["fields"]["recordings"], 1);
    for name in ["id", "decode_ms", "device_ms", "total_ms"] {
        let value = line["fields"][name].as_f64().unwrap();
        assert!(value > 0.0, "{name} is {value}");
    }
    assert!(line["fields"]["queue_ms"].as_f64().unwrap() >= 0.0);

    // Each refused call has its line, whichever layer refused it.
    let empty = client
        .classify(ClassifyRequest::default())
        .await
        .unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
    assert_eq!(field(&server.line("call"), "code"), "INVALID_ARGUMENT");
    let large = ClassifyRequest {
        audio: vec![7; 2 << 20].into(),
        ..Default::default()
    };
    assert!(client.classify(large).await.is_err());
    let line = server.line("call");
    assert_eq!(field(&line, "code"), "OUT_OF_RANGE");
    let next = line["fields"]["id"].as_u64().unwrap() + 1;
    assert!(client.get_model(GetModelRequest::default()).await.is_ok());
    let line = server.line("call");
    assert_eq!(
        (field(&line, "method"), line["fields"]["id"].as_u64()),
        ("GetModel", Some(next))
    );
    let channel = server.channel().await;
    let unknown = call(&channel, "/no.Such/Method", &[], framed(0, b"")).await;
    assert_eq!(unknown.status.code(), Code::Unimplemented);
    let line = server.line("call");
    assert_eq!(
        (field(&line, "method"), field(&line, "code")),
        ("unknown", "UNIMPLEMENTED")
    );

    // The metrics agree with the lines.
    let (_, metrics) = server.get("/metrics");
    for (method, code) in [
        ("Classify", "OK"),
        ("Classify", "INVALID_ARGUMENT"),
        ("Classify", "OUT_OF_RANGE"),
        ("GetModel", "OK"),
    ] {
        let one = format!("undertone_requests_total{{method=\"{method}\",code=\"{code}\"}} 1\n");
        assert!(metrics.contains(&one), "{metrics}");
    }

    server.terminate();
    let (_, lines) = server.ended();
    let text = format!("{lines:?}");
    assert!(
        !text.contains("sesame") && !text.contains("no.Such"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_of_a_stream_are_logged_at_debug_and_libraries_are_not() {
    let server = Logged::listening(&["--log", "debug"]);
    server.line("serving");
    let channel = server.channel().await;
    let items = ["one", "two"].map(|id| {
        let item = BatchClassifyRequest {
            id: id.into(),
            request: Some(if id == "one" {
                book()
            } else {
                ClassifyRequest::default()
            }),
        };
        framed(0, &encoded(&item))
    });
    let headers = [("undertone-tenant", "archive")];
    let answer = call(&channel, BATCH_CLASSIFY, &headers, items.concat()).await;
    assert_eq!((answer.status.code(), answer.messages.len()), (Code::Ok, 2));
    let lines = server.lines_until("call");
    let [line] = with_message(&lines, "call")[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(field(line, "method"), "BatchClassify");
    assert_eq!(field(line, "tenant"), "archive");
    assert_eq!(line["fields"]["recordings"], 2);
    assert_eq!(line["fields"]["audio_seconds"], 6.0);
    let mut items: Vec<_> = with_message(&lines, "recording")
        .into_iter()
        .map(|item| {
            assert_eq!(item["level"], "DEBUG");
            assert_eq!(item["fields"]["id"], line["fields"]["id"]);
            (
                item["fields"]["number"].as_u64().unwrap(),
                field(item, "code"),
            )
        })
        .collect();
    items.sort_unstable();
    assert_eq!(items, [(0, "OK"), (1, "INVALID_ARGUMENT")]);

    let health = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    assert!(health.is_ok());
    assert_eq!(field(&server.line("probe"), "method"), "Health.Check");

    server.terminate();
    let (_, rest) = server.ended();
    for line in lines.iter().chain(&rest) {
        let target = line["target"].as_str().unwrap();
        assert!(target.starts_with("undertone"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directive_applies_to_a_library() {
    let server = Logged::listening(&["--log", "info,h2=debug"]);
    server.line("serving");
    let mut client = EmotionServiceClient::new(server.channel().await);
    assert!(client.get_model(GetModelRequest::default()).await.is_ok());
    server.terminate();
    let (_, lines) = server.ended();
    let of_h2 = |line: &Value| line["target"].as_str().unwrap().starts_with("h2");
    assert!(lines.iter().any(of_h2), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_lines_of_a_second_are_counted() {
    let server = Logged::listening(&[]);
    server.line("serving");
    let mut client = EmotionServiceClient::new(server.channel().await);
    const CALLS: u64 = 2_000;
    for _ in 0..CALLS {
        assert!(client.get_model(GetModelRequest::default()).await.is_ok());
    }
    server.terminate();
    let (_, lines) = server.ended();
    let written = with_message(&lines, "call").len() as u64;
    let left_out = lines
        .iter()
        .filter_map(|line| line["fields"]["left_out"].as_u64());
    assert_eq!(written + left_out.sum::<u64>(), CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_file_descriptors_is_logged_with_its_remedy_and_the_server_recovers() {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_undertone"));
    let server = Logged::run(command, &[]);
    server.line("serving");
    let mut connections = Vec::new();
    for listener in ["listen", "metrics"] {
        for _ in 0..64 {
            let address = if listener == "listen" {
                &server.address
            } else {
                &server.metrics
            };
            connections.push(TcpStream::connect(address).unwrap());
        }
        let warned = loop {
            let line = server.line_with("failures");
            if line["fields"]["listener"] == listener {
                break line;
            }
        };
        assert_eq!(warned["level"], "WARN");
        assert!(field(&warned, "message").contains("ulimit -n"), "{warned}");
        assert!(field(&warned, "error").contains("open files"), "{warned}");
    }
    // The accepted connections are served. When they close, the others are served too.
    drop(connections);
    let mut client = EmotionServiceClient::new(server.channel().await);
    assert!(client.classify(book()).await.is_ok());
    assert_eq!(server.get("/readyz").0, 200);
    server.terminate();
    assert_eq!(server.ended().0.code(), Some(0));
}

/// Returns the error message of a command that must fail.
fn failing(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut said = String::new();
    output.stderr.as_slice().read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_library_that_does_not_load_is_named_with_the_loader_s_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let executable = std::fs::read(env!("CARGO_BIN_EXE_undertone")).unwrap();
    let mut foreign = executable[..4_096].to_vec();
    // The ELF class of 32-bit files.
    foreign[4] = 1;
    let missing = folder.path().join("missing.so");
    for (path, reason) in [
        (missing, "No such file or directory"),
        (file("short.so", b"\x7fELF"), "file too short"),
        (file("text.so", &[b'a'; 100]), "invalid ELF header"),
        (file("foreign.so", &foreign), "wrong ELF class"),
        (
            folder.path().to_owned(),
            "cannot read file data: Is a directory",
        ),
    ] {
        let listen = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let by_flag = failing(
            Command::new(env!("CARGO_BIN_EXE_undertone"))
                .arg("serve")
                .args(listen)
                .arg("--onnxruntime")
                .arg(&path),
        );
        let by_environment = failing(
            Command::new(env!("CARGO_BIN_EXE_undertone"))
                .arg("serve")
                .args(listen)
                .env("ORT_DYLIB_PATH", &path),
        );
        for said in [by_flag, by_environment] {
            assert!(said.contains(reason), "{said}");
            assert!(said.contains(path.to_str().unwrap()), "{said}");
        }
    }
}

#[test]
fn a_library_that_is_skipped_is_named_with_its_reason() {
    // Beside a copy of the binary there is a file that does not load. The library of the build is used.
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("undertone");
    std::fs::copy(env!("CARGO_BIN_EXE_undertone"), &binary).unwrap();
    let beside = folder.path().join("libonnxruntime.so");
    std::fs::write(&beside, b"\x7fELF").unwrap();
    let mut command = Command::new(&binary);
    command.env_remove("ORT_DYLIB_PATH");
    let server = Logged::run(command, &[]);
    let lines = server.lines_until("serving");
    let [skipped] = with_message(&lines, "skipped a copy of ONNX Runtime that does not load")[..]
    else {
        panic!("{lines:?}");
    };
    let reason = format!("{}: file too short", beside.display());
    assert_eq!(field(skipped, "reason"), reason);
    let serving = field(lines.last().unwrap(), "onnxruntime");
    assert!(!serving.contains(beside.to_str().unwrap()), "{serving}");
}
